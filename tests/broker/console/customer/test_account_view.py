"""What a customer's spend is shown as: exact, at the pace of the days that there were, also where it is taken back."""

from datetime import date, timedelta

from broker.console.customer.account_view import compute_days_left, show_spend
from broker.ledger.reading.spend import DaySpend
from pricing.money import Money

FIRST = date(2026, 11, 1)


def spend(*amounts: str) -> list[DaySpend]:
    return [
        DaySpend(FIRST + timedelta(days=number), Money.from_decimal(amount), Money.zero())
        for number, amount in enumerate(amounts)
    ]


def test_what_began_three_days_ago_has_the_pace_of_three_days() -> None:
    days = spend(*["0"] * 27, "100", "100", "100")
    since = show_spend(days, days[27].day)
    assert (since.a_day, since.pace_days) == (Money.from_decimal("100"), 3)
    assert compute_days_left(Money.from_decimal("500"), since.a_day) == 5
    before = show_spend(days, date(2026, 1, 1))
    assert (before.a_day, before.pace_days) == (Money.from_decimal("10"), 30)
    assert show_spend(days, date(2027, 1, 1)).pace_days == 1


def test_a_day_on_which_more_was_taken_back_has_no_height_and_its_amount() -> None:
    shown = show_spend(spend("2", "-3.2", "0.000001"))
    assert [bar.height >= 0 for bar in shown.bars.bars] == [True] * 3
    assert [bar.told for bar in shown.bars.bars] == ["¥2", "¥-3.20", "¥0.000001"]
    assert shown.total == Money.from_decimal("-1.199999")
    assert compute_days_left(Money.from_decimal("5"), shown.a_day) is None


def test_a_million_millions_are_told_to_the_last_micro_yuan() -> None:
    assert show_spend(spend("1000000000000.000001")).bars.bars[0].told == "¥1,000,000,000,000.000001"
