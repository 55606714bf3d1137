"""Which base model exactly: the SHA-256 of its weights."""

import hashlib
from pathlib import Path

from trainer.base_models.model_files import remember_hash

WEIGHTS = ("*.safetensors", "*/*.safetensors")  # a model folder, or a pipeline's folder of models

OLD_HASH_OFFSET, OLD_HASH_BYTES, OLD_HASH_DIGITS = 0x100000, 0x10000, 8


def hash_base_model(weights: Path) -> str:
    """Compute the SHA-256 in hex: of the file, as WebUI counts it too; of a folder over names and hashes of its weight
    files.
    """
    if weights.is_file():
        return _hash_file(weights)
    digest = hashlib.sha256()
    for file in _list_weights(weights):
        digest.update(f"{file.relative_to(weights).as_posix()} {_hash_file(file)}\n".encode())
    return digest.hexdigest()


def hash_base_model_once(weights: Path) -> str:
    """Compute the same, or take it from the cache where no file has changed since: it may be gigabytes."""
    files = [weights] if weights.is_file() else _list_weights(weights)
    return remember_hash("weights", files, lambda: hash_base_model(weights))


def _list_weights(folder: Path) -> list[Path]:
    return sorted(file for pattern in WEIGHTS for file in folder.glob(pattern))


def describe_base_file(weights: Path, sha256: str) -> dict[str, str]:
    """Describe a base model that is one file as sd-scripts does: its name, and the two hashes that WebUI shows of it.

    `sha256` is that of the file; the older hash is that of the 64 KiB from 1 MiB on, in 8 digits. Empty for a folder.
    Source: sd-scripts, `model_hash` and the metadata of `train_network.py`.
    """
    if not weights.is_file():
        return {}
    with weights.open("rb") as opened:
        opened.seek(OLD_HASH_OFFSET)
        old = hashlib.sha256(opened.read(OLD_HASH_BYTES)).hexdigest()[:OLD_HASH_DIGITS]
    return {"sd_model_name": weights.name, "sd_model_hash": old, "new_sd_model_hash": sha256}


def _hash_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
