"""The legs of a hold: added, grown, released. The caller holds the locks of the hold and its contract."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books import accounts
from broker.ledger.books.accounts import NewTransfer
from broker.ledger.books.model import AccountKind, Move, compute_captured_micros, move
from broker.ledger.grants.compensation import compensate_released
from broker.ledger.holding.charge_books import ChargeBooks
from broker.ledger.holding.legs import NewLeg, list_origins
from broker.ledger.tables import Hold, HoldLeg
from broker.work import Work
from pricing.grants import UsageOrigin
from pricing.money import Money
from pricing.usage import METERS, Unit, Usage


@dataclass(frozen=True)
class HoldView:
    """A hold, its legs in the order in which they pay, and its contract's terms and books.

    `run_gpu_type` is the type of the run whose usage it is charged with; None: that which was quoted.
    """

    terms: ContractTerms
    hold: Hold
    legs: list[HoldLeg]
    books: ChargeBooks
    run_gpu_type: str | None = None

    def origins_at(self, moment: datetime) -> Mapping[Unit, UsageOrigin]:
        """Tell where the job's usage of each meter comes from: it decides the price, and which grants may pay."""
        return list_origins(self.terms, self.hold.project_id, self.run_gpu_type or self.hold.gpu_type, moment)

    def cost_so_far(self) -> Money:
        """Price the customer's usage captured so far, paid by an advance or not."""
        return Money(compute_captured_micros(self.legs))

    def borne_so_far(self) -> Money:
        """Price what the house has borne so far, at the same prices."""
        return Money(compute_captured_micros(self.legs, borne=True))

    def borne_usage(self) -> Usage:
        """Count what the house has borne so far."""
        borne = [leg for leg in self.legs if leg.borne]
        return Usage(*(sum(leg.captured for leg in borne if leg.unit == meter) for meter in METERS))


async def add_legs(work: Work, view: HoldView, legs: Sequence[NewLeg], *, kind: str, extends: bool = True) -> None:
    """Hold more for a job, in a transfer of its own: new legs pay after those that it has.

    What `extends` a hold grows the leg that extended it before, where source and price are the same: so that a hold
    has no more legs than there are sources, however long it lives. The legs of a new hold stay as they were placed.
    """
    moves = await hold_more(work, view, legs, extends=extends)
    await work.session.flush()
    await post_for_job(work, view.hold, kind, moves)


async def hold_more(work: Work, view: HoldView, legs: Iterable[NewLeg], *, extends: bool = True) -> list[Move]:
    """Hold more for a job, and leave the transfer to the caller. Returns its moves."""
    moves: list[Move] = []
    for leg in legs:
        source_id = await _open_source(view, leg)
        view.books.take(leg)
        grown = _find_alike(view, leg, source_id) if extends else None
        if grown is None:
            grown = _add_leg(work, view, leg, source_id, extends=extends)
            view.legs.append(grown)
        else:
            grown.held += leg.quantity
        moves += move(source_id, await view.books.open_account(leg.unit, AccountKind.HELD), leg.unit, leg.quantity)
    return moves


def _find_alike(view: HoldView, leg: NewLeg, source_id: str) -> HoldLeg | None:
    wanted = (leg.unit_price, leg.month, leg.borne, leg.billable)
    of_source = (row for row in view.legs if row.account_id == source_id and row.extends)
    return next((row for row in of_source if (row.unit_price, row.month, row.borne, row.billable) == wanted), None)


async def _open_source(view: HoldView, leg: NewLeg) -> str:
    if leg.source == AccountKind.BUDGET:
        assert leg.month is not None, "a budget is of a month"
        return await view.books.open_budget(leg.month)
    return await view.books.open_account(leg.unit, leg.source, grant_id=leg.grant_id)


def _add_leg(work: Work, view: HoldView, leg: NewLeg, source_id: str, *, extends: bool) -> HoldLeg:
    return view.books.add_leg(
        id=work.new_id("leg"),
        customer_id=view.hold.customer_id,
        hold_id=view.hold.id,
        position=len(view.legs),
        unit=leg.unit.value,
        account_id=source_id,
        grant_id=leg.grant_id,
        unit_price=leg.unit_price,
        month=leg.month,
        borne=leg.borne,
        extends=extends,
        billable=leg.billable,
        held=leg.quantity,
        captured=0,
        released=0,
        compensated=0,
    )


async def post_for_job(work: Work, hold: Hold, kind: str, moves: Sequence[Move]) -> None:
    """Post a transfer between a hold and its sources; it refers to the hold's job."""
    transfer = NewTransfer(kind, moves, hold_id=hold.id, reference=hold.job_id)
    await accounts.post_transfer(work, hold.contract_id, hold.customer_id, transfer)


def list_open(legs: Sequence[HoldLeg]) -> list[tuple[HoldLeg, int]]:
    """List legs with what is still open of each."""
    return [(leg, leg.open_quantity) for leg in legs]


async def return_legs(view: HoldView, quantities: Iterable[tuple[HoldLeg, int]]) -> list[Move]:
    """Return these quantities of the legs to the accounts that they came from; leaves the transfer to the caller."""
    moves: list[Move] = []
    for leg, quantity in quantities:
        unit = Unit(leg.unit)
        leg.released += quantity
        view.books.give_back(leg, quantity)
        moves += move(await view.books.open_account(unit, AccountKind.HELD), leg.account_id, unit, quantity)
    return moves


async def list_of_ended_grants(view: HoldView, quantities: Iterable[tuple[HoldLeg, int]]) -> list[tuple[HoldLeg, int]]:
    """List those quantities of legs that come back of grants that are over."""
    of_grants = [(leg, quantity) for leg, quantity in quantities if quantity and leg.grant_id is not None]
    over = await view.books.list_over() if of_grants else frozenset[str]()
    return [(leg, quantity) for leg, quantity in of_grants if leg.grant_id in over]


async def release_legs(work: Work, view: HoldView, quantities: Sequence[tuple[HoldLeg, int]], *, kind: str) -> None:
    """Release these quantities of the legs to the accounts that they came from.

    What a run had lost by our doing, and a grant that is over gets back, is given as a compensation.
    """
    await post_for_job(work, view.hold, kind, await return_legs(view, quantities))
    of_ended_grants = await list_of_ended_grants(view, quantities)
    if of_ended_grants and await compensate_released(work, view.terms, of_ended_grants):
        view.books.forget()
