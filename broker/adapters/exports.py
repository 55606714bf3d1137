"""Adapters in the layouts of other programs: made by the trainer in a process of its own, once, and kept.

The broker never imports torch; where no trainer is installed, whoever downloads makes the layout with it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from broker import errors
from broker.adapters.tables import Adapter
from broker.persistence.storage import Storage, digest_stream, one_chunk
from broker.work import Services

PREFIX = "exports/"
MOST_EXPORT_BYTES = 8 * 1024**3
LONGEST_SECONDS = 300.0
PIECE_BYTES = 1 << 20
NOT_INSTALLED = ("No module named", "ModuleNotFoundError", "ImportError")
BY_HAND = "download peft and run `trainer export FILE --format {layout}` where the trainer is installed"


class Layout(StrEnum):
    """How a file names its matrices: of peft, of diffusers, or of kohya's sd-scripts, which WebUI and ComfyUI read."""

    PEFT = "peft"
    DIFFUSERS = "diffusers"
    KOHYA = "kohya"


@dataclass(frozen=True)
class Source:
    """An adapter as it was uploaded: whose bytes lie where, and their SHA-256."""

    adapter_id: str
    storage_key: str
    sha256: str

    @classmethod
    def of(cls, row: Adapter) -> "Source":
        return cls(row.id, row.storage_key, row.sha256)


@dataclass(frozen=True)
class Export:
    """An adapter in a layout: where it is kept, and the SHA-256 of its bytes."""

    storage_key: str
    sha256: str


@dataclass
class Exports:
    """Makes exports for one process, one at a time: a conversion takes a core and some memory."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, services: Services, source: Source, layout: Layout) -> Export:
        """Get an adapter in a layout, made where it was not yet. In no transaction. Raises: InvalidRequest."""
        if layout is Layout.PEFT:
            return Export(source.storage_key, source.sha256)
        stem = f"{PREFIX}{source.adapter_id}/{source.sha256[:16]}.{layout.value}"
        known = await _find(services.storage, stem)
        if known is not None:
            return known
        async with self.turn:
            return await _find(services.storage, stem) or await _make(services, source.storage_key, stem, layout)


def _seal_of(stem: str) -> str:
    """Tell where the hash of an export is kept: it is written last, so that it stands for a whole file."""
    return f"{stem}.sha256"


def _file_of(stem: str, sha256: str) -> str:
    """Tell where an export is kept: by its hash, since two processes that make one at once make other bytes each.

    (safetensors writes a header's texts in any order.) Whichever hash is written last, its own file is there.
    """
    return f"{stem}.{sha256[:16]}.safetensors"


async def _find(storage: Storage, stem: str) -> Export | None:
    if not await storage.size(_seal_of(stem)):
        return None
    sha256 = (await storage.read(_seal_of(stem))).decode()
    return Export(_file_of(stem, sha256), sha256)


async def _make(services: Services, source: str, stem: str, layout: Layout) -> Export:
    storage = services.storage
    with TemporaryDirectory(prefix="lora-broker-export-") as folder:
        peft, made = Path(folder) / "peft.safetensors", Path(folder) / f"{layout.value}.safetensors"
        with peft.open("wb") as file:
            async for chunk in storage.stream(source):
                await asyncio.to_thread(file.write, chunk)
        await _convert(services.settings.trainer_argv, peft, made, layout)
        sha256, _size = await digest_stream(_read(made))
        key = _file_of(stem, sha256)
        await storage.write(key, _read(made), max_bytes=MOST_EXPORT_BYTES)
    await storage.write(_seal_of(stem), one_chunk(sha256.encode()), max_bytes=64)
    return Export(key, sha256)


async def _convert(trainer_argv: Sequence[str], peft: Path, made: Path, layout: Layout) -> None:
    """Have the trainer write a file in another layout. Raises: InvalidRequest, with what it has against it."""
    program = trainer_argv[:-1] if trainer_argv[-1] == "run" else (sys.executable, "-m", "trainer")
    command = [*program, "export", str(peft), "--format", layout.value, "--output", str(made)]
    nowhere, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=nowhere, stderr=pipe)
    except OSError as error:
        told = f"cannot be made here: the trainer is not installed; {BY_HAND.format(layout=layout.value)}"
        raise errors.invalid_field("layout", told) from error
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            _output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise errors.invalid_field("layout", _explain(complaint.decode(errors="replace"), peft, layout))


def _explain(complaint: str, peft: Path, layout: Layout) -> str:
    """Explain why a layout was not made: the trainer's own words, without the name of a file that is of nobody."""
    words = (complaint.strip().splitlines() or ["no reason was given"])[-1]
    if any(sign in words for sign in NOT_INSTALLED):
        return f"cannot be made here: the trainer is not installed; {BY_HAND.format(layout=layout.value)}"
    return f"cannot be made of this adapter: {words.removeprefix(f'{peft}: ')}"


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield chunk
