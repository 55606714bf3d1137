"""What a customer's money is made of, as pages show it: how long it lasts, spend by day, alerts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from broker.console.frame.charts import Bars, Exact, place_bars
from broker.console.frame.menu import N_
from broker.contracts.terms.arrears import ArrearsState
from broker.ledger.reading.account_overview import AccountOverview
from broker.ledger.reading.spend import DaySpend
from pricing.money import MICROS_PER_UNIT, Money

PACE_DAYS = 30
# What is left of a grant or of the money that is shown as a warning.
LOW_PERCENT, LOW_DAYS = Decimal(20), Decimal(7)
ARREARS_WORDS = {
    ArrearsState.CURRENT: N_("paid in time"),
    ArrearsState.GRACE: N_("overdue: all goes on for now"),
    ArrearsState.SUSPENDED: N_("overdue: nothing new is sold on credit or run beyond paid grants"),
    ArrearsState.RETENTION: N_("overdue: data are kept, and will be deleted"),
    ArrearsState.CLOSED: N_("closed for its debts"),
}


@dataclass(frozen=True)
class SpendShown:
    """The spend of the last days: its chart, whose last bar is today, its rows, its sum, and the money a day.

    `pace_days` are the days over which that is: fewer than are shown where the contract has begun since.
    """

    bars: Bars
    days: Sequence[DaySpend]
    total: Money
    a_day: Money
    pace_days: int


def show_spend(days: Sequence[DaySpend], begun_on: date | None = None) -> SpendShown:
    """Show spend by day; what began on one of the days has had a pace since then alone."""
    pace_days = max(1, sum(begun_on is None or each.day >= begun_on for each in days))
    total = sum((each.total for each in days), Money.zero())
    values: list[tuple[str, Exact]] = [
        (each.day.strftime("%m-%d"), Fraction(each.total.micros, MICROS_PER_UNIT)) for each in days
    ]
    return SpendShown(place_bars(values, _write_yuan), days, total, Money(total.micros // pace_days), pace_days)


def _write_yuan(amount: Exact) -> str:
    value = Fraction(amount)
    if value.denominator == 1:
        return f"¥{value.numerator:,}"
    return f"¥{Money.from_exact(value).to_decimal():,f}"


def compute_days_left(available: Money, a_day: Money) -> Decimal | None:
    """Compute for how many days what is available lasts at this pace, to a tenth; None where nothing is spent."""
    if a_day.micros <= 0:
        return None
    tenths = max(0, available.micros) * 10 // a_day.micros
    return Decimal(tenths) / 10


@dataclass(frozen=True)
class Alert:
    """Something that needs the customer: in words with what is filled in, and where to go."""

    words: str
    params: dict[str, str]
    path: str
    tone: str = "warn"


def list_account_alerts(overview: AccountOverview, days_left: Decimal | None) -> list[Alert]:
    """List what of a contract's money needs its customer: arrears, money that ends, a budget that is almost gone."""
    terms, balance, alerts = overview.terms, overview.balance, list[Alert]()
    number = {"number": terms.contract_number}
    if terms.arrears_state != ArrearsState.CURRENT:
        alerts.append(
            Alert(N_("Contract %(number)s is in arrears: pay what is overdue."), number, _to(terms.id, "bills"), "bad")
        )
    if days_left is not None and days_left <= LOW_DAYS and overview.credit_limit is not None:
        told = number | {"days": f"{days_left:f}"}
        alerts.append(
            Alert(
                N_("What contract %(number)s has to spend lasts %(days)s days at this pace."),
                told,
                _to(terms.id, "overview"),
            )
        )
    if (
        balance.budget is not None
        and balance.budget_left is not None
        and balance.budget_left.micros * 5 <= balance.budget.micros
    ):
        alerts.append(
            Alert(N_("The month's budget of contract %(number)s is almost used up."), number, _to(terms.id, "budgets"))
        )
    return alerts


def _to(contract_id: str, tab: str) -> str:
    return f"/console/billing?tab={tab}&contract_id={contract_id}"
