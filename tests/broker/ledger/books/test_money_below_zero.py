"""Since when money is below zero: the last time that it came to be."""

from datetime import UTC, datetime, timedelta

from broker.ledger.books.money_below_zero import find_crossing

BEGUN = datetime(2026, 11, 1, tzinfo=UTC)


def at(day: int) -> datetime:
    return BEGUN + timedelta(days=day)


def test_it_is_since_the_last_crossing() -> None:
    entries = [(at(0), -100), (at(1), 150), (at(2), -60), (at(3), 30), (at(4), 5)]
    assert find_crossing(entries) == at(3)


def test_more_below_changes_nothing() -> None:
    assert find_crossing([(at(0), 10), (at(9), 10)]) == at(0)
