"""Manifests of hashes, signed: what was handed over or deleted, so that anybody can check it. Pure."""

import base64
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

INFO = b"lora-broker manifests"


def write_manifest(manifest: Mapping[str, Any]) -> bytes:
    """Write a manifest as the bytes that are signed: JSON with sorted keys, no spaces, in UTF-8 (RFC 8785's form)."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign_manifest(secret: bytes, manifest: bytes) -> str:
    """Sign a manifest; base64 of the 64 bytes of Ed25519."""
    return base64.b64encode(_derive_key(secret).sign(manifest)).decode()


def read_public_key(secret: bytes) -> str:
    """Read the public key of an installation, base64 of 32 bytes."""
    return base64.b64encode(_derive_key(secret).public_key().public_bytes_raw()).decode()


def is_signed_by(public_key: str, manifest: bytes, signature: str) -> bool:
    """Tell whether a manifest is as the holder of a key signed it. Raises: ValueError, for what is no key."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    try:
        key.verify(base64.b64decode(signature), manifest)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=2)
def _derive_key(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(HKDF(SHA256(), 32, None, INFO).derive(secret))
