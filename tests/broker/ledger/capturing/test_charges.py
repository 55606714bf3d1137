"""Which intervals are charged together: all that follow each other alike, up to each checkpoint."""

from datetime import UTC, datetime, timedelta

from broker.ledger.books.model import UsageInterval
from broker.ledger.capturing.charges import group_intervals
from pricing.usage import Usage

NOW = datetime(2026, 11, 10, 4, tzinfo=UTC)


def interval(sequence: int, *, checkpoint_step: int | None = None, run_id: str = "run_1") -> UsageInterval:
    ended_at = NOW + timedelta(minutes=sequence)
    return UsageInterval(run_id, sequence, Usage(2, 100), ended_at, checkpoint_step)


def group(*intervals: UsageInterval, alike: bool = True) -> list[str]:
    return [charge.reference for charge in group_intervals(intervals, lambda each: alike or each.sequence)]


def test_backlog_is_one_charge_of_all_its_usage() -> None:
    (charge,) = group_intervals([interval(number) for number in range(500)], lambda _each: "alike")
    assert (charge.reference, charge.usage) == ("run_1/0-499", Usage(1000, 50_000))


def test_interval_with_a_checkpoint_ends_its_charge() -> None:
    assert group(interval(0), interval(1, checkpoint_step=5), interval(2), interval(3)) == ["run_1/0-1", "run_1/2-3"]
    assert group(interval(0, checkpoint_step=5), interval(1, checkpoint_step=6)) == ["run_1/0", "run_1/1"]


def test_gap_parts_charges_so_that_each_covers_its_intervals_and_no_other() -> None:
    assert group(interval(1), interval(3), interval(4)) == ["run_1/1", "run_1/3-4"]


def test_what_is_described_otherwise_is_charged_apart() -> None:
    assert group(interval(0), interval(1), alike=False) == ["run_1/0", "run_1/1"]


def test_nothing_is_no_charge() -> None:
    assert group() == []
