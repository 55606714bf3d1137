"""The rules of the ledger: units, kinds of account, postings, and how usage is drawn from a hold's legs. Pure."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from pricing.money import MICROS_PER_UNIT, Money
from pricing.rating import price_usage
from pricing.usage import Unit, Usage


class AccountKind(StrEnum):
    """Where units come from, where they wait, where they end; and, from RECEIVABLE on, the accounts of money.

    ISSUED feeds grants, UNCOMMITTED is usage outside any grant, BUDGET_ISSUED feeds a month's budget. BORNE_ISSUED
    feeds what the house bears in a customer's stead; it ends in BORNE, as what the customer pays for ends in USED.
    A balance is what was debited less what was credited: what customers owe is above zero, what they paid ahead below.
    """

    ISSUED = "issued"
    GRANTED = "granted"
    UNCOMMITTED = "uncommitted"
    BUDGET_ISSUED = "budget_issued"
    BUDGET = "budget"
    HELD = "held"
    USED = "used"
    BORNE_ISSUED = "borne_issued"
    BORNE = "borne"

    RECEIVABLE = "receivable"
    CASH = "cash"
    DEFERRED_REVENUE = "deferred_revenue"
    REVENUE = "revenue"
    TAX = "tax"
    REFUNDS = "refunds"
    CUSTOMER_CREDIT = "customer_credit"
    UNMATCHED_RECEIPTS = "unmatched_receipts"
    BREAKAGE = "breakage"
    GIFT_COSTS = "gift_costs"
    ROUNDING = "rounding"
    BAD_DEBT = "bad_debt"


SOURCES = frozenset({AccountKind.ISSUED, AccountKind.UNCOMMITTED, AccountKind.BUDGET_ISSUED, AccountKind.BORNE_ISSUED})
# What the house owes: it is paid out, earned or given back, and never more of it than there is.
OWED = frozenset(
    {
        AccountKind.DEFERRED_REVENUE,
        AccountKind.REFUNDS,
        AccountKind.CUSTOMER_CREDIT,
        AccountKind.UNMATCHED_RECEIPTS,
    }
)
EITHER_SIDE = frozenset(
    {
        AccountKind.CASH,
        AccountKind.REVENUE,
        AccountKind.TAX,
        AccountKind.BREAKAGE,
        AccountKind.GIFT_COSTS,
        AccountKind.ROUNDING,
        AccountKind.BAD_DEBT,
    }
)
MAY_GO_NEGATIVE = SOURCES | OWED | EITHER_SIDE


class HoldState(StrEnum):
    PLACED = "placed"
    SETTLED = "settled"
    EXPIRED = "expired"


@dataclass(frozen=True)
class UsageInterval:
    """What one run used up to a moment, under its number in the run.

    `checkpoint_step`: it ends where the checkpoint of this step was written (decision 0019).
    """

    run_id: str
    sequence: int
    usage: Usage
    ended_at: datetime
    checkpoint_step: int | None = None


@dataclass(frozen=True)
class Posting:
    """One side of a transfer. Units: `amount` in `unit`; below zero it leaves the account."""

    account_id: str
    unit: Unit
    amount: int


def move(source_id: str, target_id: str, unit: Unit, amount: int) -> list[Posting]:
    return [Posting(source_id, unit, -amount), Posting(target_id, unit, amount)]


def sum_postings(postings: Iterable[Posting]) -> list[Posting]:
    """Add up what a transfer moves in each account; an account that it only passes through is left out."""
    sums: defaultdict[tuple[str, Unit], int] = defaultdict(int)
    for posting in postings:
        sums[posting.account_id, posting.unit] += posting.amount
    return [Posting(account_id, unit, amount) for (account_id, unit), amount in sums.items() if amount]


def check_balanced(postings: Iterable[Posting]) -> None:
    """Assert that a transfer sums to zero in every unit; one that does not is our own fault."""
    sums: defaultdict[Unit, int] = defaultdict(int)
    for posting in postings:
        sums[posting.unit] += posting.amount
    assert not any(sums.values()), f"unbalanced transfer: {dict(sums)}"


@dataclass(frozen=True)
class LegState:
    """A hold's leg as the arithmetic sees it. Units: quantities in the leg's unit, price per GPU-hour or token.

    `month` is the budget month of a leg in money; the others have none. `borne`: the house bears it, not the customer.
    `grant_id` is the grant that a leg comes from.
    """

    unit: Unit
    unit_price: Decimal | None
    billable: bool
    held: int
    captured: int
    released: int
    month: str | None = None
    borne: bool = False
    grant_id: str | None = None

    @property
    def open_quantity(self) -> int:
        return self.held - self.captured - self.released


@dataclass(frozen=True)
class LegDraw:
    """What one leg, by its place in the list, gives to a capture."""

    index: int
    quantity: int


def plan_capture(
    legs: Sequence[LegState],
    unit: Unit,
    quantity: int,
    *,
    month: str | None = None,
    borne: bool = False,
    closed: Collection[str] = (),
) -> tuple[list[LegDraw], int]:
    """Draw `quantity` of one unit from legs in their order; the second value is what no leg could give.

    Money is drawn from the legs of one month's budget; what is `borne` from its own legs, and nothing else is. `closed`
    are the grants that may not pay for this usage: what a hold has of them is passed over.
    """
    draws: list[LegDraw] = []
    for index, leg in enumerate(legs):
        if (leg.unit, leg.month, leg.borne) != (unit, month, borne) or quantity == 0 or leg.grant_id in closed:
            continue
        drawn = min(leg.open_quantity, quantity)
        if drawn > 0:
            draws.append(LegDraw(index, drawn))
            quantity -= drawn
    return draws, quantity


def compute_captured_micros(legs: Iterable[LegState], *, billable_only: bool = False, borne: bool = False) -> int:
    """Compute the price of all that the customer's legs captured, or the borne ones, rounded once (half-even).

    An interval is charged the difference of two such totals, so that roundings never add up in a job's sum.
    """
    exact = sum(
        (
            _price(leg, leg.captured)
            for leg in legs
            if leg.unit_price is not None and leg.borne == borne and (leg.billable or not billable_only)
        ),
        Fraction(0),
    )
    return Money.from_exact(exact).micros


def compute_hold_micros(legs: Iterable[LegState]) -> int:
    """Compute the price of what billable legs hold, rounded up to the micro-yuan: the money held always suffices."""
    exact = sum((_price(leg, leg.held) for leg in legs if leg.billable and leg.unit_price is not None), Fraction(0))
    return math.ceil(exact * MICROS_PER_UNIT)


def compute_money_needed(legs: Sequence[LegState]) -> int:
    """Compute the money to hold: the price of billable units, captured and open, rounded up, less what is captured."""
    captured = sum(leg.captured for leg in legs if leg.unit == Unit.MICRO_YUAN and not leg.borne)
    metered = [leg for leg in legs if leg.billable and leg.unit_price is not None]
    exact = sum((_price(leg, leg.captured + leg.open_quantity) for leg in metered), Fraction(0))
    return math.ceil(exact * MICROS_PER_UNIT) - captured


def _price(leg: LegState, quantity: int) -> Fraction:
    assert leg.unit_price is not None
    return price_usage(leg.unit, quantity, leg.unit_price)
