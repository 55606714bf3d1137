"""Placing the files of a base model where the runs of this machine look for it: under its name, whole or not at all."""

import filecmp
import os
import secrets
import shutil
from pathlib import Path

from broker.errors import OperatorError
from pricing.catalog.described import ModelDescription


def place_files(description: ModelDescription, source: Path, models_root: Path) -> Path:
    """Place a model's files under `models_root`: linked where the disk is the same, else copied.

    Files that are there already stay. Only what training reads is taken.
    Raises: OperatorError, where other files have that name.
    """
    target = models_root / description.profile.name
    if source.is_file():
        target = target.with_name(target.name + source.suffix)
        files = {source: Path()}
    else:
        files = {source / name: Path(name) for name in description.files}
    if target.exists():
        _check_same(files, target)
        return target
    models_root.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = models_root / f".{target.name}.{secrets.token_hex(4)}"
    try:
        for file, name in files.items():
            (aside / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _link_or_copy(file.resolve(), aside / name)
        aside.rename(target)
    except OSError as error:
        raise OperatorError(f"{target} cannot be written: {error.strerror}; nothing was added") from error
    finally:
        _remove(aside)
    return target


def _check_same(files: dict[Path, Path], target: Path) -> None:
    """Refuse a place where other files are. Raises: OperatorError."""
    for file, name in files.items():
        there = target / name
        if not there.is_file() or not filecmp.cmp(file, there, shallow=False):
            raise OperatorError(
                f"{target} is there already and holds other files; move it away, or give the model another --name"
            )


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(file, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
