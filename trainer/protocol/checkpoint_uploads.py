"""Checkpoints on their way to the broker, in the background: a slow or absent broker does not hold up the training."""

import shutil
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainer.atomic_files import writing_folder
from trainer.errors import BrokerAway, FencedOff, TrainerError
from trainer.log import write_line
from trainer.protocol.client import BrokerClient
from trainer.protocol.heartbeat import leave_at_once
from trainer.protocol.retry import GIVE_UP_AFTER_SECONDS, LONGEST_PAUSE_SECONDS


@dataclass(frozen=True)
class _Parcel:
    step: int
    file: Path


class CheckpointUploads:
    """Uploads the newest checkpoint; one that is overtaken before its upload has begun is left out."""

    def __init__(
        self, client: BrokerClient, folder: Path, *, on_fenced: Callable[[FencedOff], None] = leave_at_once
    ) -> None:
        self._client, self._folder, self._on_fenced = client, folder, on_fenced
        self._changed = threading.Condition()
        self._waiting: _Parcel | None = None
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._loop, name="uploads", daemon=True)
        self._thread.start()

    def submit(self, checkpoint: Path, step: int) -> None:
        """Pack the checkpoint now, before its folder may be pruned, and upload it when the broker takes it."""
        parcel = _Parcel(step, self._folder / f"{checkpoint.name}.tar")
        pack_folder(checkpoint, parcel.file)
        with self._changed:
            overtaken, self._waiting = self._waiting, parcel
            self._changed.notify_all()
        if overtaken is not None:
            overtaken.file.unlink(missing_ok=True)

    def drain(self, timeout_seconds: float = GIVE_UP_AFTER_SECONDS) -> bool:
        """Wait until everything is uploaded; False if that did not happen in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and not self._busy, timeout_seconds)

    def close(self) -> None:
        """Drop what waits, its file too, and wait for what is under way."""
        with self._changed:
            dropped, self._waiting, self._closed = self._waiting, None, True
            self._changed.notify_all()
        if dropped is not None:
            dropped.file.unlink(missing_ok=True)
        self._thread.join()

    def _loop(self) -> None:
        while (parcel := self._take()) is not None:
            try:
                self._client.upload_checkpoint(parcel.step, parcel.file)
                parcel.file.unlink(missing_ok=True)
            except FencedOff as error:
                self._on_fenced(error)
                return
            except BrokerAway:
                self._put_back(parcel)
            except TrainerError as error:
                write_line(f"the checkpoint of step {parcel.step} was not taken: {error}")
            self._done()

    def _take(self) -> _Parcel | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting is not None)
            parcel, self._waiting = self._waiting, None
            self._busy = parcel is not None
            return parcel

    def _put_back(self, parcel: _Parcel) -> None:
        """Wait a little, or until there is a newer one, and have it tried again unless it is overtaken by then."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting is not None, LONGEST_PAUSE_SECONDS)
            if self._closed or self._waiting is not None:
                parcel.file.unlink(missing_ok=True)
            else:
                self._waiting = parcel

    def _done(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()


def pack_folder(folder: Path, file: Path) -> None:
    """Write the plain files of a folder into one tar, the same bytes for the same content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for path in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            with path.open("rb") as content:
                tar.addfile(entry, content)


def unpack_folder(file: Path, folder: Path) -> None:
    """Unpack the plain files of a tar into `folder`, whole or not at all.

    Raises: tarfile.TarError, for a member that is no plain file or points outside. Not by tarfile's own filter: Debian
    12's Python has none yet.
    """
    with writing_folder(folder) as aside, tarfile.open(file) as tar:
        for member in tar:
            target = (aside / member.name).resolve()
            if not member.isreg() or not target.is_relative_to(aside.resolve()):
                raise tarfile.ExtractError(f"{member.name!r} is no plain file of the folder")
            content = tar.extractfile(member)
            assert content is not None, "a plain file has content"
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as copy:
                shutil.copyfileobj(content, copy)
