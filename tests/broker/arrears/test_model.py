"""The state of a contract is a function of facts: days of arrears, extensions, what was announced, what is disputed."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from broker.arrears.model import (
    DAY,
    Debt,
    DebtKind,
    Extension,
    ExtensionKind,
    Facts,
    count_days,
    decide_standing,
    follow_extensions,
    plan_deletion,
)
from broker.contracts.terms.agreed import ArrearsTerms
from broker.contracts.terms.arrears import ArrearsState
from pricing.money import Money

FIRST = date(2026, 12, 8)
LENGTHS = ArrearsTerms(grace_days=7, suspended_days=15, retention_days=30)


def owe(since: date = FIRST, yuan: int = 4200, disputed: int = 0, name: str = "inv_1") -> Debt:
    amount, contested = Money.from_decimal(yuan), Money.from_decimal(disputed)
    return Debt(DebtKind.OVERDUE_INVOICE, name, amount, since, "INV-2026-000001", contested)


def make_facts(*debts: Debt, **fields: object) -> Facts:
    return replace(Facts(debts or (owe(),), LENGTHS), **fields)


@pytest.mark.parametrize(
    ("day", "state", "since", "until"),
    [
        (-1, "current", None, None),
        (0, "grace", 0, 7),
        (6, "grace", 0, 7),
        (7, "suspended", 7, 22),
        (21, "suspended", 7, 22),
        (22, "retention", 22, 52),
        (300, "retention", 22, 330),
    ],
)
def test_state_follows_the_days(day: int, state: str, since: int | None, until: int | None) -> None:
    standing = decide_standing(make_facts(), FIRST + DAY * day)
    told = [None if each is None else (each - FIRST).days for each in (standing.since, standing.until)]
    assert (standing.state, *told) == (state, since, until)


def test_nothing_is_closed_before_its_announced_day() -> None:
    announced = make_facts(deletion_on=FIRST + DAY * 60)
    assert decide_standing(announced, FIRST + DAY * 59).state == ArrearsState.RETENTION
    assert decide_standing(announced, FIRST + DAY * 60).state == ArrearsState.CLOSED
    assert decide_standing(make_facts(), FIRST + DAY * 1000).state == ArrearsState.RETENTION


def test_announced_late_it_is_kept_for_all_of_its_days_all_the_same() -> None:
    """Such as after the broker stood still for half a year."""
    assert plan_deletion(make_facts(), FIRST + DAY * 22) == FIRST + DAY * 52
    assert plan_deletion(make_facts(), FIRST + DAY * 200) == FIRST + DAY * 230


def test_announced_early_it_is_kept_until_grace_suspension_and_retention_are_over() -> None:
    assert plan_deletion(make_facts(), FIRST + DAY * 10) == FIRST + DAY * 52
    extended = make_facts(extensions=(Extension(FIRST + DAY * 10, FIRST + DAY * 14),))
    assert plan_deletion(extended, FIRST + DAY * 10) == FIRST + DAY * 57


def test_where_nothing_is_owed_any_more_the_days_count_from_the_announcement() -> None:
    assert plan_deletion(replace(make_facts(), debts=()), FIRST) == FIRST + DAY * 30


def test_nothing_is_deleted_on_the_day_of_its_announcement_even_without_any_retention() -> None:
    facts = replace(make_facts(), lengths=ArrearsTerms(grace_days=0, suspended_days=0, retention_days=0))
    assert plan_deletion(facts, FIRST) == FIRST + DAY


def test_closed_is_final_and_what_is_owed_is_still_told() -> None:
    closed = make_facts(is_closed=True)
    standing = decide_standing(closed, FIRST + DAY * 90)
    assert (standing.state, standing.owed) == (ArrearsState.CLOSED, Money.from_decimal(4200))
    assert decide_standing(replace(closed, debts=()), FIRST).state == ArrearsState.CLOSED


def test_paid_it_is_current() -> None:
    assert decide_standing(make_facts(owe(yuan=0)), FIRST + DAY * 30).state == ArrearsState.CURRENT


def test_oldest_debt_counts_the_days_and_all_are_owed() -> None:
    facts = make_facts(owe(FIRST + DAY * 5, 100, name="inv_2"), owe(), owe(FIRST + DAY * 40, 7, name="inv_3"))
    standing = decide_standing(facts, FIRST + DAY * 8)
    assert (standing.state, standing.owed) == (ArrearsState.SUSPENDED, Money.from_decimal(4300))
    assert [debt.object_id for debt in standing.debts] == ["inv_1", "inv_2"]


def test_what_is_disputed_does_not_count() -> None:
    part, whole = make_facts(owe(disputed=4000)), make_facts(owe(disputed=4200))
    assert decide_standing(part, FIRST).owed == Money.from_decimal(200)
    assert decide_standing(whole, FIRST + DAY * 90).state == ArrearsState.CURRENT


def test_days_of_an_extension_do_not_count_and_are_no_worse_than_grace() -> None:
    extended = make_facts(extensions=(Extension(FIRST + DAY * 10, FIRST + DAY * 14),))
    states = {day: decide_standing(extended, FIRST + DAY * day).state.value for day in (9, 10, 14, 15, 26, 27)}
    assert states == {
        9: "suspended",
        10: "grace",
        14: "grace",
        15: "suspended",
        26: "suspended",
        27: "retention",
    }
    assert decide_standing(extended, FIRST + DAY * 12).until == FIRST + DAY * 15


def test_time_that_was_shortened_ends_earlier_and_can_be_given_again() -> None:
    early, late = Extension(FIRST, FIRST + DAY * 9), Extension(FIRST + DAY * 7, FIRST + DAY * 20)
    cut = Extension(FIRST + DAY * 4, FIRST + DAY * 5)
    given = [(ExtensionKind.EXTENSION, early), (ExtensionKind.PROMISE_TO_PAY, late), (ExtensionKind.SHORTENED, cut)]
    assert follow_extensions(given) == [Extension(FIRST, FIRST + DAY * 5)]
    assert follow_extensions([*given, (ExtensionKind.SHORTENED, Extension(FIRST, FIRST))]) == [Extension(FIRST, FIRST)]
    again = (ExtensionKind.EXTENSION, Extension(FIRST + DAY * 6, FIRST + DAY * 7))
    assert follow_extensions([*given, again]) == [Extension(FIRST, FIRST + DAY * 5), again[1]]


def test_extensions_that_overlap_count_once() -> None:
    days = (Extension(FIRST + DAY * 2, FIRST + DAY * 6), Extension(FIRST + DAY * 4, FIRST + DAY * 9))
    assert count_days(make_facts(extensions=days), FIRST, FIRST + DAY * 20) == 12


@pytest.mark.parametrize(
    ("lengths", "state"),
    [
        (ArrearsTerms(0, 15, 30), "suspended"),
        (ArrearsTerms(0, 0, 30), "retention"),
        (ArrearsTerms(0, 0, 0), "retention"),
        (ArrearsTerms(10_000, 0, 0), "grace"),
    ],
)
def test_states_may_last_no_day_at_all(lengths: ArrearsTerms, state: str) -> None:
    standing = decide_standing(make_facts(lengths=lengths), FIRST)
    assert standing.state == state
    assert standing.until is not None
    assert standing.until - FIRST >= timedelta()
