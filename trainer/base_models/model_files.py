"""The files that a base model is trained from, and the hash by which an operator's model is known everywhere."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainer.atomic_files import writing_file
from trainer.base_models.cache_dir import get_cache_dir
from trainer.errors import BadInput, CannotWrite

# Weights, configurations, tokenizers and chat templates; `.py` tells ChatGLM2 from 3 (it is read, never run).
READ_SUFFIXES = frozenset({".safetensors", ".gguf", ".json", ".model", ".jinja", ".txt", ".py"})


@dataclass(frozen=True)
class ModelFiles:
    """Paths inside the folder of a model, or the name of its only file, in order. Units: bytes."""

    root: Path
    names: Sequence[str]
    size_bytes: int


def list_model_files(model: Path) -> ModelFiles:
    """List what training may read of a model folder or file; hidden files, pickles and documents are left out.

    Raises: BadInput, where there is nothing to read.
    """
    if model.is_file():
        return ModelFiles(model.parent, [model.name], model.stat().st_size)
    found = sorted(path for path in model.rglob("*") if path.suffix in READ_SUFFIXES and path.is_file())
    names = [str(path.relative_to(model)) for path in found]
    shown = [name for name in names if not any(part.startswith(".") for part in Path(name).parts)]
    if not shown:
        raise BadInput("model", f"{model} has no file of a model in it; give the folder with the .safetensors files")
    return ModelFiles(model, shown, sum((model / name).stat().st_size for name in shown))


def hash_model(files: ModelFiles) -> str:
    """Compute the SHA-256 (hex) over the name and the SHA-256 of each file; of a single file its name is left out.

    Names are part of it, because one file of weights in another's place is another model.
    """
    single = len(files.names) == 1
    digest = hashlib.sha256()
    for name in files.names:
        with (files.root / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{'' if single else name}\0{content}\n".encode())
    return digest.hexdigest()


def hash_model_once(model: Path) -> str:
    """Compute the hash of a model, or take it from the cache where no file has changed since: it may be gigabytes.

    Raises: BadInput.
    """
    files = list_model_files(model)
    return remember_hash("model", [files.root / name for name in files.names], lambda: hash_model(files))


def remember_hash(kind: str, paths: Sequence[Path], compute: Callable[[], str]) -> str:
    """Take the hash of these files from the cache where none has changed since, else compute and keep it."""
    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = hashlib.sha256(json.dumps([kind, stamps]).encode()).hexdigest()
    cached = get_cache_dir() / "hashes" / key
    with suppress(OSError):
        return cached.read_text(encoding="ascii")
    sha256 = compute()
    with suppress(OSError, CannotWrite), writing_file(cached) as aside:
        aside.write_text(sha256, encoding="ascii")
    return sha256
