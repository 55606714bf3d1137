"""Taking back what was charged: its units return to the very legs, grants and budgets that they came from.

Entries and captures are never changed: what is taken back is a capture below zero that names the one it corrects, and
what the house bears instead is another. The caller holds the locks of the hold and its contract.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import insert, select

from broker.contracts.terms.model import GrantTerms
from broker.ledger.books import accounts
from broker.ledger.books.accounts import NewTransfer
from broker.ledger.books.causes import Cause
from broker.ledger.books.closed_months import BilledMonth
from broker.ledger.books.model import AccountKind, HoldState, Move, compute_captured_micros, move
from broker.ledger.grants.compensation import credit_compensation, make_compensations
from broker.ledger.grants.earnings import return_earned
from broker.ledger.holding.hold_legs import HoldView, hold_more
from broker.ledger.holding.legs import NewLeg
from broker.ledger.rating.charge_limit import LineCount, RateSegment
from broker.ledger.rating.rate_corrections import correct_closed_month
from broker.ledger.rating.rates import AddedLine, add_to_rates
from broker.ledger.tables import Capture, HoldLeg
from broker.work import Work
from pricing.usage import Unit


async def take_back(
    work: Work, view: HoldView, quantities: Mapping[int, int], *, borne_for: Cause | None, kind: str, reference: str
) -> None:
    """Take back so many units of these captures of a job; the house bears them for a cause, or nobody does.

    `quantities` are by the captures' ids, in GPU-seconds or tokens, none of them more than is charged of its capture.
    There is one transfer for each month that billed them, and each cause for which they were borne before. What comes
    back to a grant whose term is over is given as a compensation of 30 days. What was paid for units of a closed month
    is deferred again at once.
    """
    captures = await _read_captures(work, quantities)
    compensations = await make_compensations(work, view.terms, captures, quantities, are_lost=borne_for is not None)
    of_closed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (month, cause), members in groupby(captures, attrgetter("month", "cause")):
        billed_by = await view.books.get_open_month(month)
        booking = TakingBack(work, view, month, billed_by, Cause(cause) if cause else None, borne_for, compensations)
        for capture in members:
            await booking.take(capture, quantities[capture.id])
            if billed_by != month and capture.grant_id is not None:
                of_closed[capture.grant_id][billed_by] += quantities[capture.id]
        await booking.settle_money()
        await booking.write(kind, reference)
    for grant_id, made in compensations.items():
        await credit_compensation(work, view.terms, grant_id, made)
    for grant_id, by_month in of_closed.items():
        made_of = compensations.get(grant_id)
        await return_earned(work, view.terms, grant_id if made_of is None else made_of.id, by_month)


async def _read_captures(work: Work, ids: Iterable[int]) -> Sequence[Capture]:
    query = select(Capture).where(Capture.id.in_(list(ids))).order_by(Capture.id)
    return sorted((await work.session.scalars(query)).all(), key=lambda row: (row.month, row.cause or ""))


@dataclass
class TakingBack:
    """What one month billed of a job and is taken back, while it is put on the books.

    `billed_by` is the month that takes it back: the same, or the next open one where that is closed. `cause`: the house
    bore it, for this cause. `borne_for`: the house bears it from now on; None: nobody, since it was never used.
    `compensations`: what comes back of grants whose term is over, as a grant of its own.
    """

    work: Work
    view: HoldView
    month: str
    billed_by: str
    cause: Cause | None
    borne_for: Cause | None
    compensations: Mapping[str, GrantTerms]
    moves: list[Move] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, capture: Capture, quantity: int) -> None:
        """Take back some units of a capture that this month billed."""
        leg = next(leg for leg in self.view.legs if leg.id == capture.leg_id)
        await self._return(leg, quantity)
        made = self.compensations.get(capture.grant_id or "")
        if made is not None and self.borne_for is not None:
            leg.compensated += quantity
        # What a closed month's invoice has earned of the one grant, the open month's takes back for the other.
        paid_by = capture.grant_id if made is None or self.month == self.billed_by else made.id
        self.rows.append(self._describe(capture, quantity=-quantity, grant_id=paid_by))
        if not capture.borne:
            await self._take_off_line(capture, quantity)
        if self.borne_for is not None:
            borne = await self._bear(Unit(capture.unit), quantity, capture)
            own = {"leg_id": borne.id, "grant_id": None, "borne": True, "billable": False}
            self.rows.append(self._describe(capture, quantity=quantity, cause=self.borne_for.value, **own))

    async def settle_money(self) -> None:
        """Return the money of what was taken back, and let the house bear its own: each rounded once a job."""
        for borne in (False, True):
            own = [leg for leg in self.view.legs if leg.unit == Unit.MICRO_YUAN and leg.borne == borne]
            price = compute_captured_micros(self.view.legs, billable_only=not borne, borne=borne)
            excess = sum(leg.captured for leg in own) - price
            for leg in sorted(own, key=lambda leg: leg.month != self.month):
                returned = max(0, min(leg.captured, excess))
                await self._return(leg, returned)
                excess -= returned
            if excess < 0:
                await self._bear(Unit.MICRO_YUAN, -excess)

    async def write(self, kind: str, reference: str) -> None:
        """Write the legs, the transfer and the captures."""
        work, hold = self.work, self.view.hold
        await work.session.flush()
        transfer = NewTransfer(kind, self.moves, hold.id, reference)
        await accounts.post_transfer(work, hold.contract_id, hold.customer_id, transfer)
        await work.session.execute(insert(Capture), self.rows)

    async def _return(self, leg: HoldLeg, quantity: int) -> None:
        """Return what a leg captured: it is held again while its hold lives, and else free where it came from."""
        if quantity == 0:
            return
        unit = Unit(leg.unit)
        end = AccountKind.BORNE if leg.borne else AccountKind.USED
        end_id = await self.view.books.open_account(unit, end, cause=self.cause if leg.borne else None)
        leg.captured -= quantity
        if self._is_held_again(leg):
            target_id = await self.view.books.open_account(unit, AccountKind.HELD)
        else:
            leg.released += quantity
            target_id = await self._find_source(leg)
        self.moves += move(end_id, target_id, unit, quantity)

    def _is_held_again(self, leg: HoldLeg) -> bool:
        hold = self.view.hold
        can_be_used = not leg.borne and leg.grant_id not in self.compensations and leg.month in {None, hold.month}
        return hold.state == HoldState.PLACED and can_be_used

    async def _find_source(self, leg: HoldLeg) -> str:
        """Find where a leg's units are free again: money of a closed month is of the month that takes it back."""
        if leg.borne or leg.month is None or self.month == self.billed_by:
            return leg.account_id
        return await self.view.books.open_budget(self.billed_by)

    async def _bear(self, unit: Unit, quantity: int, capture: Capture | None = None) -> HoldLeg:
        """Let the house bear units, at the price at which they were captured; money has none, but a month."""
        price, month = (None, self.billed_by) if capture is None else (capture.unit_price, None)
        more = NewLeg(unit, AccountKind.BORNE_ISSUED, quantity, price, billable=False, month=month, borne=True)
        self.moves += await hold_more(self.work, self.view, [more])
        wanted = (unit, price, month)
        alike = (leg for leg in self.view.legs if leg.borne and leg.extends)
        row = next(leg for leg in alike if (leg.unit, leg.unit_price, leg.month) == wanted)
        row.captured += quantity
        held_id = await self.view.books.open_account(unit, AccountKind.HELD)
        borne_id = await self.view.books.open_account(unit, AccountKind.BORNE, cause=self.borne_for)
        self.moves += move(held_id, borne_id, unit, quantity)
        return row

    async def _take_off_line(self, capture: Capture, quantity: int) -> None:
        """Take units off the job's line: in its own month as long as that is open, else by a line of a later one."""
        if self.billed_by != self.month:
            await correct_closed_month(self.work, capture, quantity, billed_by=self.billed_by)
            return
        late_of = BilledMonth(capture.used_month, capture.month).late_of
        segment = RateSegment(Unit(capture.unit), capture.unit_price, capture.billable, capture.month, late_of)
        count = LineCount(-quantity, leads=False)
        await add_to_rates(self.work, [AddedLine(self.view.hold, segment, count, capture.rate_card_version)])

    def _describe(self, capture: Capture, **changed: Any) -> dict[str, Any]:
        columns = (column.key for column in Capture.__table__.columns if column.key != "id")
        own = {"month": self.billed_by, "corrects_id": capture.id, "created_at": self.work.now}
        return {name: getattr(capture, name) for name in columns} | own | changed
