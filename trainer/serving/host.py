"""One base model, the adapters that were asked for lately, and the one that is in use."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cachetools import LRUCache
from starlette.concurrency import run_in_threadpool

from trainer.errors import AdapterUnusable
from trainer.formats.adapter import Adapter
from trainer.formats.reading import load_adapter_any
from trainer.log import write_line
from trainer.serving.shelf import AdapterShelf, ShelvedFile

KEPT = 16


class UnknownModel(LookupError):
    """No adapter of this name is in the folder."""


class Swappable(Protocol):
    """What a family's server can do with adapters."""

    def can_take(self, adapter: Adapter) -> bool: ...

    def add(self, slot: str, adapter: Adapter) -> None: ...

    def use(self, slot: str | None) -> None: ...

    def remove(self, slot: str) -> None: ...

    def clear(self) -> None: ...


@dataclass(frozen=True)
class _Loaded:
    slot: str
    file: ShelvedFile


class _LoadedAdapters(LRUCache[str, _Loaded]):
    """The adapters in memory by name; `on_evicted` hears of the one least lately used when it has to make room."""

    def __init__(self, most: int, on_evicted: Callable[[_Loaded], None]) -> None:
        super().__init__(most)
        self._on_evicted = on_evicted

    def popitem(self) -> tuple[str, _Loaded]:
        name, loaded = super().popitem()
        self._on_evicted(loaded)
        return name, loaded


class ModelHost:
    """Hands the model to one request at a time, with the adapter that it names."""

    def __init__(self, base_name: str, swap: Swappable, shelf: AdapterShelf, *, kept: int = KEPT) -> None:
        self.base_name, self.shelf = base_name, shelf
        self._swap, self._kept = swap, kept
        self._loaded = _LoadedAdapters(kept, self._take_off)
        self._current: str | None = None
        self._lock = asyncio.Lock()
        self._numbers = itertools.count(1)
        self.last_switch_seconds = 0.0

    def list_names(self) -> list[tuple[str, int]]:
        """List the base model and then the adapters, each with the Unix time of its last change, in seconds."""
        return [(self.base_name, 0), *((file.name, file.changed_at) for file in self.shelf.list().values())]

    def preload(self) -> None:
        """Load the newest adapters, so that their first request only switches. One that does not fit is told of."""
        newest = sorted(self.shelf.list().values(), key=lambda file: file.stamp[1])[-self._kept :]
        for file in newest:
            try:
                self._load(file)
            except AdapterUnusable as error:
                write_line(f"adapter {file.name} is passed over: {error}")
        self._swap.use(None)
        self._current = None

    @asynccontextmanager
    async def using(self, name: str | None) -> AsyncIterator[None]:
        """Hold the model with this adapter (None or the base's name: without) until the block ends.

        Whoever comes meanwhile waits without a thread, in the order of coming. Raises: UnknownModel, AdapterUnusable.
        """
        async with self._lock:
            await run_in_threadpool(self._switch, name)
            yield

    async def put(self, name: str, written: Path) -> None:
        """Take a file that was written aside under a name, in the place of what had it: loaded before it is shown.

        Its next request only switches. Raises: BadInput; AdapterUnusable, and all is as before.
        """
        place = self.shelf.place(name)
        async with self._lock:
            await run_in_threadpool(self._put, name, written, place)

    def _put(self, name: str, written: Path, place: Path) -> None:
        slot = self._add(load_adapter_any(written))
        before = self.shelf.find(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        written.replace(place)
        if before is not None and before.path != place:
            before.path.unlink(missing_ok=True)
        self._remember(slot, self.shelf.read(place, name))
        self._current = None  # whichever is asked for next is put in use anew

    async def take_away(self, name: str) -> None:
        """Take an adapter off the shelf and out of memory. Raises: UnknownModel."""
        async with self._lock:
            await run_in_threadpool(self._take_away, name)

    def _take_away(self, name: str) -> None:
        file = self.shelf.find(name)
        if file is None:
            raise UnknownModel(name)
        file.path.unlink(missing_ok=True)
        loaded = self._loaded.pop(name, None)
        if loaded is not None:
            self._take_off(loaded)

    def _switch(self, name: str | None) -> None:
        started = time.perf_counter()
        slot = None if name is None or name == self.base_name else self._get_slot(name)
        if slot is None or slot != self._current:
            self._swap.use(slot)
            self._current = slot
        self.last_switch_seconds = time.perf_counter() - started

    def _get_slot(self, name: str) -> str:
        file = self.shelf.find(name)
        if file is None:
            raise UnknownModel(name)
        loaded = self._loaded.get(name)
        if loaded is not None and loaded.file.stamp == file.stamp:
            return loaded.slot
        return self._load(file)

    def _load(self, file: ShelvedFile) -> str:
        slot = self._add(load_adapter_any(file.path))
        self._remember(slot, file)
        return slot

    def _add(self, adapter: Adapter) -> str:
        """Put an adapter into a slot of its own, not yet in use. Raises: AdapterUnusable."""
        if not self._swap.can_take(adapter):
            self._swap.clear()
            self._loaded.clear()
            self._current = None
        slot = f"slot{next(self._numbers)}"
        self._swap.add(slot, adapter)
        return slot

    def _remember(self, slot: str, file: ShelvedFile) -> None:
        older = self._loaded.pop(file.name, None)
        if older is not None:
            self._take_off(older)
        self._loaded[file.name] = _Loaded(slot, file)

    def _take_off(self, loaded: _Loaded) -> None:
        self._swap.remove(loaded.slot)
        if self._current == loaded.slot:
            self._current = None
