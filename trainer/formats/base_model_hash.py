"""Which base model exactly: the SHA-256 of its weights."""

import hashlib
from pathlib import Path

WEIGHTS = ("*.safetensors", "*/*.safetensors")  # a model folder, or a pipeline's folder of models


def hash_base_model(weights: Path) -> str:
    """SHA-256 in hex: of the file, as WebUI counts it too; of a folder over names and hashes of its weight files."""
    if weights.is_file():
        return _hash_file(weights)
    digest = hashlib.sha256()
    for file in sorted(file for pattern in WEIGHTS for file in weights.glob(pattern)):
        digest.update(f"{file.relative_to(weights).as_posix()} {_hash_file(file)}\n".encode())
    return digest.hexdigest()


def _hash_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
