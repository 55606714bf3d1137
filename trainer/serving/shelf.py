"""The folder of adapters as it is now: files that appear, change or go are noticed without a restart."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import BadInput
from trainer.formats.adapter import ADAPTER_FILE

MOST_NAME_BYTES = 200  # of a part: file systems take 255, some of which the name of a file half written needs
PART = re.compile(r"[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]*")
MOST_PARTS = 3


@dataclass(frozen=True)
class ShelvedFile:
    """One adapter file; `stamp` changes with its content (size, and time of the last change in nanoseconds)."""

    name: str
    path: Path
    stamp: tuple[int, int]

    @property
    def changed_at(self) -> int:
        """The time of the last change, in Unix seconds."""
        return self.stamp[1] // 10**9


class AdapterShelf:
    """The `.safetensors` files under a folder, named by their path: `customer/style_v1`.

    A file with peft's usual name is named by its folder. Files still being written (a dot first) are passed over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> dict[str, ShelvedFile]:
        return {file.name: file for file in self._walk()}

    def find(self, name: str) -> ShelvedFile | None:
        return self.list().get(name)

    def place(self, name: str) -> Path:
        """Tell the file that an adapter of this name is kept in. Raises: BadInput, for a name that leads elsewhere."""
        parts = name.split("/")
        fits = len(parts) <= MOST_PARTS and all(
            PART.fullmatch(part) and part == part.strip() and len(part.encode()) <= MOST_NAME_BYTES for part in parts
        )
        if not fits or "checkpoints" in parts or parts[-1] == Path(ADAPTER_FILE).stem:
            raise BadInput("name", f"{name!r} cannot be kept; take letters, digits, _ and -, as customer/style_v1")
        return self.folder / f"{name}.safetensors"

    def read(self, path: Path, name: str) -> ShelvedFile:
        """Read what the file of a name is now. Raises: OSError."""
        found = path.stat()
        return ShelvedFile(name, path, (found.st_size, found.st_mtime_ns))

    def _walk(self) -> Iterator[ShelvedFile]:
        for path in sorted(self.folder.rglob("*.safetensors")):
            inside = path.relative_to(self.folder)
            if any(part.startswith(".") or part == "checkpoints" for part in inside.parts):
                continue
            named = inside.parent if path.name == ADAPTER_FILE and len(inside.parts) > 1 else inside.with_suffix("")
            try:
                found = path.stat()
            except OSError:  # gone meanwhile
                continue
            if stat.S_ISREG(found.st_mode):  # no folder that is named like a file
                yield ShelvedFile(named.as_posix(), path, (found.st_size, found.st_mtime_ns))
