"""Putting charges of one month on the books: drawn from legs in memory, and written with all others of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.ledger.books.accounts import NewTransfer
from broker.ledger.books.causes import Cause
from broker.ledger.books.closed_months import BilledMonth
from broker.ledger.books.model import (
    AccountKind,
    LegDraw,
    Move,
    compute_captured_micros,
    has_other_price,
    move,
    plan_capture,
)
from broker.ledger.capturing.charges import Charge
from broker.ledger.capturing.charging import Charging, PlannedDraws
from broker.ledger.capturing.supply import plan_draws, plan_supply
from broker.ledger.holding.hold_legs import HoldView, hold_more, list_open
from broker.ledger.holding.legs import (
    NewLeg,
    OpenGrants,
    find_uncommitted_prices,
    plan_money_leg,
    price_uncommitted,
)
from broker.ledger.holding.promises import read_charge_limits
from broker.ledger.rating.charge_limit import LineCount, Promise, RateSegment
from broker.ledger.rating.rates import AddedLine
from broker.ledger.tables import HoldLeg
from broker.work import Work
from pricing.grants import UsageOrigin
from pricing.usage import METERS, Unit, Usage

NOTHING = Usage()


@dataclass
class Booking:
    """The charges of one job that one month bills, while they are put on the books.

    `moment` is when the usage of the charge in hand ended: it decides prices and which grants pay; `origins` where it
    comes from, and `planned` what was planned for it and holds still. `versions` are those of the cards by which
    segments were first charged. `extension` is what the hold lacks for the charge in hand, and is extended by in a
    transfer of its own; what is borne was never to be held.
    """

    work: Work
    view: HoldView
    months: BilledMonth
    charging: Charging
    grants: OpenGrants
    moment: datetime
    origins: Mapping[Unit, UsageOrigin] = field(default_factory=dict)
    planned: dict[Unit, PlannedDraws] = field(default_factory=dict)
    versions: dict[RateSegment, str] = field(default_factory=dict)
    captures: list[dict[str, Any]] = field(default_factory=list)
    extension: list[Move] = field(default_factory=list)

    @property
    def month(self) -> str:
        """The month that bills the charges."""
        return self.months.billed

    async def put(self, charge: Charge, moment: datetime) -> None:
        """Charge intervals up to the last promise that holds; what goes beyond is borne."""
        self.moment, self.captures, self.extension = moment, [], []
        usage, view = charge.usage, self.view
        self.origins = view.origins_at(moment)
        supply = plan_supply(
            view.terms, self.grants, view.legs, usage, origins=self.origins, moment=moment, months=self.months
        )
        self.planned = dict(supply.planned)
        charged = self.charging.divide(supply, [interval.usage for interval in charge.intervals])
        version = view.terms.prices_at(moment).rate_card_version
        self.versions = dict.fromkeys(self.charging.added, version) | self.versions
        moves = await self._capture(charge, charged, borne=False)
        moves += await self._capture(charge, usage - charged, borne=True)
        view.books.charge(NewTransfer("hold_extended", self.extension, view.hold.id, charge.reference), [])
        view.books.charge(NewTransfer("usage_captured", moves, view.hold.id, charge.reference), self.captures)

    async def close(self) -> None:
        """Add up by price what was charged."""
        view, limits = self.view, self.charging.limits
        counts = {segment: count for segment, count in self.charging.added.items() if count}
        await view.books.add_lines(
            [
                AddedLine(view.hold, segment, LineCount(count, limits.leads(segment)), self.versions[segment])
                for segment, count in counts.items()
            ]
        )

    async def _capture(self, charge: Charge, usage: Usage, *, borne: bool) -> list[Move]:
        moves: list[Move] = []
        if borne and usage == NOTHING:
            return moves
        for meter in METERS:
            drawn = await self._draw(meter, usage.count(meter), moves, borne=borne)
            self.captures += [self._capture_row(charge, leg, quantity) for leg, quantity in drawn]
        await self._draw(Unit.MICRO_YUAN, self._count_money(borne=borne), moves, borne=borne)
        return moves

    def _count_money(self, *, borne: bool) -> int:
        """Count the price up to now less what was captured of it: a job's sum is rounded once, whatever its charges."""
        own = [leg for leg in self.view.legs if leg.borne == borne and leg.unit == Unit.MICRO_YUAN]
        price = compute_captured_micros(self.view.legs, billable_only=not borne, borne=borne)
        return price - sum(leg.captured for leg in own)

    async def _draw(self, unit: Unit, quantity: int, moves: list[Move], *, borne: bool) -> list[tuple[HoldLeg, int]]:
        """Draw units from the legs, extending the hold by what they lack; each leg counts what is captured of it."""
        if quantity == 0:
            return []
        view, extending = self.view, moves if borne else self.extension
        draws, more = self._plan_draws(unit, quantity, borne=borne)
        if more:
            extending += await hold_more(self.work, view, more)
            self.grants = await view.books.read_grants()
            draws, lacking = self._plan_draws(unit, quantity, borne=borne)
            assert not lacking, "an extension covers what it was made for"
        for draw in draws:
            view.legs[draw.index].captured += draw.quantity
        if more and not borne:
            extending += await self._release_replaced(unit, sum(leg.quantity for leg in more))
        end = AccountKind.BORNE if borne else AccountKind.USED
        held_id = await view.books.open_account(unit, AccountKind.HELD)
        end_id = await view.books.open_account(unit, end, cause=Cause.OVER_PROMISE if borne else None)
        moves += move(held_id, end_id, unit, quantity)
        return [(view.legs[draw.index], draw.quantity) for draw in draws]

    async def _release_replaced(self, unit: Unit, quantity: int) -> list[Move]:
        """Release as many units as were added of what is held outside grants: at another price first.

        They are charged at the present price instead, or to a grant that was given since.
        """
        moves: list[Move] = []
        if unit == Unit.MICRO_YUAN:
            return moves
        price = price_uncommitted(self.view.terms, self.origins[unit], self.moment)
        outside = [
            (leg, count)
            for leg, count in list_open(self.view.legs)
            if leg.unit == unit and leg.grant_id is None and not leg.borne
        ]
        for leg, open_quantity in sorted(outside, key=lambda each: not has_other_price(each[0], price)):
            released = min(open_quantity, quantity)
            leg.released += released
            quantity -= released
            self.view.books.give_back(leg, released)
            held_id = await self.view.books.open_account(unit, AccountKind.HELD)
            moves += move(held_id, leg.account_id, unit, released)
        return moves

    def _plan_draws(self, unit: Unit, quantity: int, *, borne: bool) -> tuple[list[LegDraw], list[NewLeg]]:
        """Plan what is drawn from the hold's legs, and by which legs it is extended for that before."""
        view, legs = self.view, self.view.legs
        if not borne and unit != Unit.MICRO_YUAN:
            planned = self.planned.pop(unit, None)
            if planned is not None and planned.quantity == quantity:
                return planned.draws, planned.more
            return plan_draws(view.terms, self.grants, legs, self.origins[unit], quantity, self.moment)
        month = self.month if unit == Unit.MICRO_YUAN else None
        draws, missing = plan_capture(legs, unit, quantity, month=month, borne=borne)
        if not missing:
            return draws, []
        return draws, [self._plan_borne(unit, missing)] if borne else plan_money_leg(missing, self.month)

    def _plan_borne(self, unit: Unit, quantity: int) -> NewLeg:
        """Plan a leg of what the house bears in its customer's stead, at the contract's own prices."""
        money = unit == Unit.MICRO_YUAN
        price = None if money else self.view.terms.prices_at(self.moment, self.origins[unit].gpu_type).of(unit)
        month = self.month if money else None
        return NewLeg(unit, AccountKind.BORNE_ISSUED, quantity, price, billable=False, month=month, borne=True)

    def _capture_row(self, charge: Charge, leg: HoldLeg, quantity: int) -> dict[str, Any]:
        hold = self.view.hold
        prices = find_uncommitted_prices(self.view.terms, self.origins[Unit(leg.unit)], self.moment)
        return {
            "customer_id": hold.customer_id,
            "contract_id": hold.contract_id,
            "job_id": hold.job_id,
            "run_id": charge.first.run_id,
            "first_sequence": charge.first_sequence,
            "last_sequence": charge.last.sequence,
            "leg_id": leg.id,
            "grant_id": leg.grant_id,
            "unit": leg.unit,
            "quantity": quantity,
            "unit_price": leg.unit_price,
            "borne": leg.borne,
            "cause": Cause.OVER_PROMISE.value if leg.borne else None,
            "billable": leg.billable,
            "rate_card_version": prices.rate_card_version,
            "plan": None if leg.grant_id is not None else prices.plan.value,
            "month": self.month,
            "used_month": self.months.used,
            "corrects_id": None,
            "added_by": charge.first.added_by,
            "created_at": self.work.now,
        }


async def open_booking(work: Work, view: HoldView, promise: Promise, months: BilledMonth) -> Booking:
    """Read what charging needs to know, once for all charges that a month bills.

    The caller holds the locks of hold and contract.
    """
    limits = await read_charge_limits(view, promise, months.billed)
    grants = await view.books.read_grants()
    return Booking(work, view, months, Charging(limits), grants, work.now)
