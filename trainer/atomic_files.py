"""Writing so that a name on disk stands for a complete file or folder, or for none: write aside, fsync, rename."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from safetensors import SafetensorError

from trainer.errors import CannotWrite

NOT_TO_BE_WRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
NOT_TO_BE_WRITTEN |= {errno.ENAMETOOLONG, errno.EIO, errno.ESTALE}
PROBE_BYTES = 4096  # some file systems give small files room of their own, whatever a quota says


@contextmanager
def writing_file(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; the file takes its name when the block ends well."""
    aside = path.with_name(f".{path.name}.writing")
    try:
        with telling_why(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            sync(aside)
            aside.replace(path)
            sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it takes its name, and the old one's place, when the block ends well."""
    aside, old = path.with_name(f".{path.name}.writing"), path.with_name(f".{path.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with telling_why(path):
            aside.mkdir(parents=True)
            yield aside
            for file in aside.iterdir():
                sync(file)
            sync(aside)
            if path.exists():
                path.rename(old)
            aside.rename(path)
            sync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def try_writing(folder: Path, key: str = "output_dir") -> None:
    """Write a small file into the folder and take it away again, so that work for it is not begun in vain.

    Raises: CannotWrite, naming `key`, whatever the system says: nothing was there before that could be at fault.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise CannotWrite(folder, os.strerror(errno.ENOTDIR), key)
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".probe.") as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise CannotWrite(folder, error.strerror or str(error), key) from error


def finish_interrupted_writes(folder: Path) -> None:
    """Take away what killed processes left aside in `folder`; an old folder gets its name back where no new one came.

    Only for a folder that this process alone writes into.
    """
    for aside in [*folder.glob(".*.writing"), *folder.glob(".probe.*"), *folder.glob(".*.old")]:
        final = aside.with_name(aside.name.removeprefix(".").removesuffix(".old"))
        if aside.suffix == ".old" and not final.exists():
            aside.rename(final)
        elif aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)


@contextmanager
def telling_why(path: Path) -> Iterator[None]:
    """Turn a full disk, or a folder that is not ours, into a message; every other fault stays what it is.

    Raises: CannotWrite.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_TO_BE_WRITTEN:
            raise
        raise CannotWrite(path, error.strerror or str(error)) from error
    except SafetensorError as error:  # the library's own name for whatever the system told it
        raise CannotWrite(path, str(error)) from error


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
