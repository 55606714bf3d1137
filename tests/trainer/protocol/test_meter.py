"""The meters: whole numbers that add up to the whole, whatever the cuts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trainer.protocol.meter import Meter, compute_gpu_seconds

START = datetime(2026, 11, 24, 10, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns


def make_meter(devices: int = 1) -> tuple[Meter, Clock]:
    clock = Clock()
    return Meter(devices, monotonic_ns=clock, started_at=START), clock


@given(
    devices=st.integers(1, 8),
    beats=st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 10**5)), max_size=30),
)
def test_intervals_add_up_to_the_rounded_total_and_abut(devices: int, beats: list[tuple[int, int]]) -> None:
    meter, clock = make_meter(devices)
    intervals = []
    for passed_ns, tokens in beats:
        clock.ns += passed_ns
        meter.add_tokens(tokens)
        intervals.append(meter.cut())
    cut = [interval for interval in intervals if interval is not None]
    held_ns = sum(passed_ns for passed_ns, _ in beats)
    assert sum(interval.gpu_seconds for interval in cut) == compute_gpu_seconds(held_ns, devices)
    assert sum(interval.tokens for interval in cut) == sum(tokens for _, tokens in beats)
    assert all(interval.gpu_seconds >= 0 for interval in cut)
    assert [interval.started_at for interval in cut[1:]] == [interval.ended_at for interval in cut[:-1]]


def test_nothing_whole_is_no_interval_and_is_not_lost() -> None:
    meter, clock = make_meter()
    clock.ns += 400_000_000
    assert meter.cut() is None
    clock.ns += 400_000_000
    interval = meter.cut()
    assert interval is not None
    assert (interval.gpu_seconds, interval.started_at) == (1, START)
    assert interval.ended_at == START + timedelta(microseconds=800_000)


def test_a_checkpoint_ends_an_interval_even_where_it_is_empty() -> None:
    """Without it nothing would tell where the work ends that the checkpoint keeps."""
    meter, clock = make_meter()
    clock.ns += 2 * 10**9
    meter.add_tokens(7)
    first, at_checkpoint = meter.cut(), meter.cut(100)
    assert first is not None
    assert at_checkpoint is not None
    assert (first.tokens, first.checkpoint_step) == (7, None)
    assert (at_checkpoint.gpu_seconds, at_checkpoint.tokens, at_checkpoint.checkpoint_step) == (0, 0, 100)
    assert at_checkpoint.started_at == first.ended_at
    clock.ns += 10**9
    later = meter.cut()
    assert later is not None
    assert later.checkpoint_step is None


def test_two_devices_count_twice() -> None:
    meter, clock = make_meter(devices=2)
    clock.ns += 30 * 3600 * 10**9
    assert meter.total_gpu_seconds == 2 * 30 * 3600


def test_a_closed_meter_counts_no_more_gpu_seconds() -> None:
    meter, clock = make_meter()
    clock.ns += 3 * 10**9
    meter.close()
    clock.ns += 9 * 10**9
    meter.close()
    interval = meter.cut()
    assert interval is not None
    assert interval.gpu_seconds == 3
    assert meter.cut() is None
