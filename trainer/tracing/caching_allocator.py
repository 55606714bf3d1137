"""What PyTorch's CUDA allocator would reserve for a recorded order of allocations and frees. Pure: no GPU, no torch.

Source: PyTorch, c10/cuda/CUDACachingAllocator.cpp (2.x): rounding, the two pools, best fit, splitting and merging.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

LEAST_BLOCK = 512
SMALL = 2**20  # up to here an allocation is of the small pool
SMALL_SEGMENT, LARGE_SEGMENT, ROUND_LARGE = 2 * 2**20, 20 * 2**20, 2 * 2**20
LEAST_OWN_SEGMENT = 10 * 2**20  # from here on a segment is as large as what it is made for


class MemoryEvent(NamedTuple):
    """A storage of so many bytes is allocated, or freed where `bytes` is None."""

    storage: int
    bytes: int | None


@dataclass(frozen=True)
class AllocatorPeak:
    """The most bytes that are in use at once, and that the allocator holds of the card for it."""

    allocated: int
    reserved: int


@dataclass(eq=False)
class _Block:
    """A piece of a segment; its neighbours lie before and after it in the same one."""

    number: int
    size: int
    is_free: bool = True
    before: "_Block | None" = None
    after: "_Block | None" = None


@dataclass
class _Pool:
    """The small or the large blocks. `grows`: all lie in one segment, to whose end further pages are mapped."""

    segment_bytes: int
    least_rest: int
    grows: bool
    free: list[tuple[int, int, _Block]] = field(default_factory=list)
    last: _Block | None = None
    reserved: int = 0
    made: int = 0

    def allocate(self, size: int) -> _Block:
        block = self._take_best(size) or (self._map_more(size) if self.grows else self._open_segment(size))
        rest = block.size - size
        if rest >= self.least_rest:
            self._split(block, size)
        block.is_free = False
        return block

    def release(self, block: _Block) -> None:
        """Give a block back, joined with the free ones beside it."""
        block.is_free = True
        for other in (block.before, block.after):
            if other is not None and other.is_free:
                self._forget(other)
                block = self._join(other, block) if other is block.before else self._join(block, other)
        self._offer(block)

    def _take_best(self, size: int) -> _Block | None:
        place = bisect_left(self.free, (size,))
        return self.free.pop(place)[2] if place < len(self.free) else None

    def _open_segment(self, size: int) -> _Block:
        size = _round_up(size, ROUND_LARGE) if size >= LEAST_OWN_SEGMENT else self.segment_bytes
        self.reserved += size
        return self._make(size)

    def _map_more(self, size: int) -> _Block:
        """Map pages behind the last block, which is used as far as it is free."""
        last = self.last
        if last is not None and last.is_free:
            self._forget(last)
            missing = size - last.size
        else:
            missing, last = size, None
        more = _round_up(missing, self.segment_bytes)
        self.reserved += more
        if last is not None:
            last.size += more
            return last
        block = self._make(more)
        block.before, self.last = self.last, block
        if block.before is not None:
            block.before.after = block
        return block

    def _make(self, size: int) -> _Block:
        self.made += 1
        return _Block(self.made, size)

    def _split(self, block: _Block, size: int) -> None:
        rest = self._make(block.size - size)
        rest.before, rest.after = block, block.after
        if rest.after is not None:
            rest.after.before = rest
        block.after, block.size = rest, size
        if self.last is block:
            self.last = rest
        self._offer(rest)

    def _join(self, first: _Block, second: _Block) -> _Block:
        first.size += second.size
        first.after = second.after
        if first.after is not None:
            first.after.before = first
        if self.last is second:
            self.last = first
        first.is_free = True
        return first

    def _offer(self, block: _Block) -> None:
        insort(self.free, (block.size, block.number, block))

    def _forget(self, block: _Block) -> None:
        del self.free[bisect_left(self.free, (block.size, block.number))]


def replay(events: Iterable[MemoryEvent], *, expandable: bool = False) -> AllocatorPeak:
    """Replay the order of allocations and frees on an empty card that has memory enough.

    `expandable`: PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True.
    Raises: KeyError, where a storage is freed that was not allocated.
    """
    small = _Pool(SMALL_SEGMENT, LEAST_BLOCK, expandable)
    large = _Pool(LARGE_SEGMENT, LEAST_BLOCK if expandable else SMALL + LEAST_BLOCK, expandable)
    held: dict[int, tuple[_Pool, _Block, int]] = {}
    empty: set[int] = set()
    in_use = most_used = 0
    for event in events:
        if event.bytes == 0:
            empty.add(event.storage)
        elif event.bytes is not None:
            size = _round_up(event.bytes, LEAST_BLOCK)
            pool = small if size <= SMALL else large
            held[event.storage] = pool, pool.allocate(size), size
            in_use += size
            most_used = max(most_used, in_use)
        elif event.storage not in empty:
            pool, block, size = held.pop(event.storage)
            in_use -= size
            pool.release(block)
    return AllocatorPeak(most_used, small.reserved + large.reserved)


def _round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
