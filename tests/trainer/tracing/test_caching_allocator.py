"""What PyTorch's allocator reserves, by its published rules."""

import pytest

from trainer.tracing.caching_allocator import AllocatorPeak, MemoryEvent, replay

KIB, MIB = 2**10, 2**20


def play(*steps, expandable=False):
    """Play `bytes` as an allocation, `"name"` as the end of the storage with that number."""
    events = [MemoryEvent(int(step), None) if isinstance(step, str) else MemoryEvent(*step) for step in steps]
    return replay(events, expandable=expandable)


@pytest.mark.parametrize(
    ("wanted", "allocated", "reserved"),
    [
        (1, 512, 2 * MIB),
        (513, 1024, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        (11 * MIB, 11 * MIB, 12 * MIB),
    ],
)
def test_an_allocation_is_rounded_and_opens_a_segment_of_its_pool(wanted, allocated, reserved):
    assert play((0, wanted)) == AllocatorPeak(allocated, reserved)


def test_what_is_left_of_a_segment_serves_the_next():
    assert play((0, 4 * MIB), (1, 8 * MIB), (2, 8 * MIB)).reserved == 20 * MIB


def test_a_large_block_is_split_where_more_than_a_mebibyte_is_left():
    assert play((0, 19 * MIB - 512), (1, MIB + 512)).reserved == 20 * MIB
    assert play((0, 19 * MIB), (1, MIB + 512)).reserved == 40 * MIB


def test_a_freed_block_joins_its_neighbours_and_serves_a_larger_one():
    freed = play((0, 8 * MIB), (1, 8 * MIB), "0", "1", (2, 16 * MIB))
    assert freed == AllocatorPeak(16 * MIB, 20 * MIB)
    between = play((0, 6 * MIB), (1, 6 * MIB), (2, 6 * MIB), "0", "2", (3, 12 * MIB))
    assert between.reserved == 20 * MIB + 12 * MIB, "the block in the middle keeps the two apart"


def test_the_smallest_block_that_is_large_enough_is_taken():
    peak = play((0, 12 * MIB), (1, 30 * MIB), "1", "0", (2, 12 * MIB), (3, 30 * MIB))
    assert peak.reserved == 42 * MIB


def test_blocks_of_one_length_do_not_serve_a_longer_one_unless_segments_expand():
    growing = [step for size in range(11, 20) for step in ((size, size * 2 * MIB), str(size))]
    fixed, expandable = (play(*growing, expandable=on) for on in (False, True))
    assert fixed.allocated == expandable.allocated == 38 * MIB
    assert fixed.reserved == sum(size * 2 * MIB for size in range(11, 20))
    assert expandable.reserved == 40 * MIB


def test_an_empty_storage_takes_nothing():
    assert play((0, 0), "0") == AllocatorPeak(0, 0)
