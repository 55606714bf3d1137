"""The folders that engines keep of their runs (`local.py`, `run_script.py`), looked at once the runs are over."""

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from broker.execution.files import is_held


@dataclass(frozen=True)
class RunFolders:
    """The folders below `runs_dir`, one for each run of this machine. What still runs is never touched."""

    runs_dir: Path

    async def list_run_ids(self) -> list[str]:
        """List the runs that have a folder here."""
        return await asyncio.to_thread(self._list_run_ids)

    def _list_run_ids(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.runs_dir) if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []

    async def find_last_change(self, run_id: str) -> datetime | None:
        """Find when a run's record or log was last written; None where there is neither."""
        return await asyncio.to_thread(self._find_last_change, run_id)

    def _find_last_change(self, run_id: str) -> datetime | None:
        times = []
        for name in ("run.json", "job.json", "trainer.log", "run.lock"):
            with contextlib.suppress(FileNotFoundError):
                times.append((self.runs_dir / run_id / name).stat().st_mtime)
        return datetime.fromtimestamp(max(times), UTC) if times else None

    async def remove_work(self, run_id: str) -> tuple[int, int]:
        """Remove what a run worked on, and leave its record and its log; returns how many folders and bytes went."""
        return await asyncio.to_thread(self._remove, run_id, self.runs_dir / run_id / "work")

    async def remove(self, run_id: str) -> tuple[int, int]:
        """Remove the whole folder of a run; returns how many folders and bytes went."""
        return await asyncio.to_thread(self._remove, run_id, self.runs_dir / run_id)

    def _remove(self, run_id: str, folder: Path) -> tuple[int, int]:
        if not folder.is_dir() or is_held(self.runs_dir / run_id / "run.lock"):
            return 0, 0
        size_bytes = sum(_size(Path(place, name)) for place, _, names in os.walk(folder) for name in names)
        shutil.rmtree(folder, ignore_errors=True)
        return 1, size_bytes


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.lstat().st_size
    return 0
