"""The rules of the ledger: units, kinds of account, moves, and how usage is drawn from a hold's legs. Pure."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from pricing.money import MICROS_PER_UNIT, Quotient, add_quotients, divide_half_even
from pricing.rating import divide_price
from pricing.usage import Unit, Usage


class AccountKind(StrEnum):
    """Where units come from, where they wait, where they end; from RECEIVABLE on the accounts of money; then of fapiao.

    ISSUED feeds grants, UNCOMMITTED is usage outside any grant, BUDGET_ISSUED feeds a month's budget. BORNE_ISSUED
    feeds what the house bears in a customer's stead; it ends in BORNE, as what the customer pays for ends in USED, and
    what nobody used of a grant by its expiry in EXPIRED.
    FAPIAO_DRAWN feeds what a customer asked fapiao for; it waits in FAPIAO_REQUESTED and ends in FAPIAO_ISSUED: a memo
    beside the money, none of which moves by it.
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
    EXPIRED = "expired"

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
    BANK_FEES = "bank_fees"

    FAPIAO_DRAWN = "fapiao_drawn"
    FAPIAO_REQUESTED = "fapiao_requested"
    FAPIAO_ISSUED = "fapiao_issued"


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
        AccountKind.BANK_FEES,
    }
)
FAPIAO = frozenset({AccountKind.FAPIAO_DRAWN, AccountKind.FAPIAO_REQUESTED, AccountKind.FAPIAO_ISSUED})
MAY_GO_NEGATIVE = SOURCES | OWED | EITHER_SIDE | {AccountKind.FAPIAO_DRAWN}
NEVER_POSITIVE = OWED | {AccountKind.FAPIAO_DRAWN}


class HoldState(StrEnum):
    """A placed hold ends settled or expired; a standing one reserves nothing and has no end."""

    PLACED = "placed"
    SETTLED = "settled"
    EXPIRED = "expired"
    STANDING = "standing"


@dataclass(frozen=True)
class UsageInterval:
    """What one run used up to a moment, under its number in the run.

    `checkpoint_step`: it ends where the checkpoint of this step was written (decision 0019). `added_by`: the correction
    of this id says that there was more usage of intervals that were charged together before, from `first_sequence` on.
    """

    run_id: str
    sequence: int
    usage: Usage
    ended_at: datetime
    checkpoint_step: int | None = None
    added_by: str | None = None
    first_sequence: int | None = None


class Move(NamedTuple):
    """Units that go from one account, which is credited, to another, which is debited. Units: `amount` in `unit`."""

    source_id: str
    target_id: str
    unit: Unit
    amount: int


def move(source_id: str, target_id: str, unit: Unit, amount: int) -> list[Move]:
    return [Move(source_id, target_id, unit, amount)]


def net_moves(moves: Sequence[Move]) -> list[Move]:
    """Net what a transfer moves, so that an account that it only passes through is left out.

    What leaves is paired with what arrives, in the order in which the accounts were named; every amount is above zero.
    """
    by_unit: dict[Unit, list[Move]] = {}
    for each in moves:
        by_unit.setdefault(each.unit, []).append(each)
    return [net for own in by_unit.values() for net in _net_unit(own)]


def _net_unit(moves: Sequence[Move]) -> Sequence[Move]:
    """Net what is moved of one unit; most transfers move each unit once, so there is nothing to net."""
    first = moves[0]
    if len(moves) == 1 and first.amount > 0 and first.source_id != first.target_id:
        return moves
    changes: defaultdict[str, int] = defaultdict(int)
    for each in moves:
        changes[each.source_id] -= each.amount
        changes[each.target_id] += each.amount
    return list(_pair(first.unit, changes))


def _pair(unit: Unit, changes: Mapping[str, int]) -> Iterator[Move]:
    targets = deque((account_id, change) for account_id, change in changes.items() if change > 0)
    for source_id, change in changes.items():
        leaving = -change
        while leaving > 0:
            target_id, arriving = targets.popleft()
            amount = min(leaving, arriving)
            yield Move(source_id, target_id, unit, amount)
            leaving -= amount
            if arriving > amount:
                targets.appendleft((target_id, arriving - amount))


class Leg(Protocol):
    """What the arithmetic reads of a hold's leg: one that is kept, or one that is planned.

    Units: quantities in the leg's unit, price per GPU-hour or token. `month` is the budget month of a leg in money; the
    others have none. `borne`: the house bears it, not the customer. `grant_id` is the grant that a leg comes from.
    """

    @property
    def unit(self) -> str: ...
    @property
    def unit_price(self) -> Decimal | None: ...
    @property
    def billable(self) -> bool: ...
    @property
    def held(self) -> int: ...
    @property
    def captured(self) -> int: ...
    @property
    def month(self) -> str | None: ...
    @property
    def borne(self) -> bool: ...
    @property
    def grant_id(self) -> str | None: ...
    @property
    def open_quantity(self) -> int: ...


@dataclass(frozen=True)
class LegState:
    """A leg that is planned, in its state (see `Leg`)."""

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
    legs: Sequence[Leg],
    unit: Unit,
    quantity: int,
    *,
    month: str | None = None,
    borne: bool = False,
    closed: Collection[str] = (),
    price: Decimal | None = None,
) -> tuple[list[LegDraw], int]:
    """Draw `quantity` of one unit from legs, of grants before others; the second value is what no leg could give.

    Money is drawn from the legs of one month's budget; what is `borne` from its own legs, and nothing else is. `closed`
    are the grants that may not pay for this usage: what a hold has of them is passed over. So is what it has outside
    grants at another price than `price`, where one is told: a card has changed, or the GPU type is not the quoted one.
    """
    draws: list[LegDraw] = []
    alike = [
        (leg.grant_id is None, index)
        for index, leg in enumerate(legs)
        if leg.unit == unit and leg.month == month and leg.borne == borne
    ]
    for _is_outside, index in sorted(alike):
        leg = legs[index]
        if quantity == 0 or leg.grant_id in closed or has_other_price(leg, price):
            continue
        drawn = min(leg.open_quantity, quantity)
        if drawn > 0:
            draws.append(LegDraw(index, drawn))
            quantity -= drawn
    return draws, quantity


def has_other_price(leg: Leg, price: Decimal | None) -> bool:
    """Tell whether a leg outside grants holds units at another price than this; None: any will do."""
    return price is not None and leg.grant_id is None and not leg.borne and leg.unit_price != price


def compute_captured_micros(legs: Iterable[Leg], *, billable_only: bool = False, borne: bool = False) -> int:
    """Compute the price of all that the customer's legs captured, or the borne ones, rounded once (half-even).

    An interval is charged the difference of two such totals, so that roundings never add up in a job's sum.
    """
    dividend, divisor = add_quotients(
        _divide_price(leg, leg.captured)
        for leg in legs
        if leg.unit_price is not None and leg.borne == borne and (leg.billable or not billable_only)
    )
    return divide_half_even(dividend * MICROS_PER_UNIT, divisor)


def compute_hold_micros(legs: Iterable[Leg]) -> int:
    """Compute the price of what billable legs hold, rounded up to the micro-yuan: the money held always suffices."""
    return _round_up(_divide_price(leg, leg.held) for leg in legs if leg.billable and leg.unit_price is not None)


def compute_money_needed(legs: Sequence[Leg]) -> int:
    """Compute the money to hold: the price of billable units, captured and open, rounded up, less what is captured."""
    captured = sum(leg.captured for leg in legs if leg.unit == Unit.MICRO_YUAN and not leg.borne)
    metered = [leg for leg in legs if leg.billable and leg.unit_price is not None]
    return _round_up(_divide_price(leg, leg.captured + leg.open_quantity) for leg in metered) - captured


def _divide_price(leg: Leg, quantity: int) -> Quotient:
    assert leg.unit_price is not None
    return divide_price(Unit(leg.unit), quantity, leg.unit_price)


def _round_up(prices: Iterable[Quotient]) -> int:
    """Add exact prices up, and round once, up to the micro-yuan."""
    dividend, divisor = add_quotients(prices)
    return -(-dividend * MICROS_PER_UNIT // divisor)
