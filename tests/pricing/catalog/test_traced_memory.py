"""Reading the traced table between and beyond its points."""

import pytest
from pydantic import ValidationError

from pricing.catalog.traced_memory import TracedBytes, TracedMemory

SAMPLES, POSITIONS = (1, 4, 16), (128, 1024, 4096)


def cost(samples, positions):
    return 5_000 + 300 * samples + 2 * positions + 7 * samples * positions


def table_of(function=cost, **keys):
    grid = tuple(tuple(int(function(samples, size)) for size in POSITIONS) for samples in SAMPLES)
    method = TracedBytes(bits=16, allocated=grid, reserved=grid, **keys)
    return TracedMemory(samples=SAMPLES, positions=POSITIONS, methods=(method,)), grid


@pytest.mark.parametrize(("samples", "positions"), [(1, 128), (4, 1024), (3, 500), (2, 4096), (32, 10_000)])
def test_what_grows_with_samples_positions_and_both_is_read_exactly_everywhere(samples, positions):
    table, grid = table_of()
    assert table.interpolate(grid, samples, positions) == pytest.approx(cost(samples, positions))


def test_reading_a_monotone_table_is_monotone():
    table, grid = table_of(lambda samples, positions: 1e6 + samples**0.5 * positions**1.3)
    for samples in range(1, 40, 3):
        read = [table.interpolate(grid, samples, size) for size in range(16, 9000, 400)]
        assert read == sorted(read)
    for size in (16, 500, 3000, 9000):
        read = [table.interpolate(grid, samples, size) for samples in range(1, 40)]
        assert read == sorted(read)


def test_before_its_first_point_a_table_is_read_there():
    """Fault of a first version: read along the line, a short row could need less in a larger batch."""
    table, grid = table_of()
    assert table.interpolate(grid, 1, 16) == cost(1, 128)


def test_a_method_that_was_not_traced_is_not_found():
    table, _ = table_of(checkpointing=True)
    assert table.find(bits=16, adapts_all=False, checkpointing=True) is table.methods[0]
    assert table.find(bits=32, adapts_all=False, checkpointing=True) is None
    assert table.find(bits=16, adapts_all=False, checkpointing=False) is None


def test_a_table_with_a_hole_is_refused():
    _, grid = table_of()
    with pytest.raises(ValidationError, match="a row for each number of samples"):
        TracedMemory(
            samples=SAMPLES,
            positions=POSITIONS,
            methods=(TracedBytes(bits=16, allocated=grid[:2], reserved=grid),),
        )
