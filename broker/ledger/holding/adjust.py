"""Adjusting a hold: before a paused job goes on, it holds what it still needs and no more."""

from collections.abc import Collection, Sequence
from decimal import Decimal

from broker import errors
from broker.ledger.books.model import HoldState, compute_money_needed, has_other_price
from broker.ledger.holding.hold_legs import HoldView, add_legs, list_open, release_legs
from broker.ledger.holding.holds import compute_expiry, lock_hold, roll_hold
from broker.ledger.holding.legs import (
    NewLeg,
    plan_meter_legs,
    plan_money_legs,
    price_uncommitted,
    read_open_grants,
)
from broker.ledger.holding.room import read_room
from broker.ledger.tables import HoldLeg
from broker.work import Work
from pricing.usage import Unit, Usage


async def adjust_hold(work: Work, job_id: str, *, need: Usage) -> HoldView:
    """Release what a job no longer needs and hold what it lacks: both, or nothing changes at all.

    A hold that had expired is live again after.
    Raises: NotFound, NoContractInForce, InsufficientBalance, CreditLimitExceeded, BudgetExceeded.
    """
    view = await lock_hold(work, job_id)
    terms = view.terms
    _revive(work, view)
    await roll_hold(work, view, terms.billing_month(work.now))
    grants = await read_open_grants(work, terms.id)
    for meter, origin in view.origins_at(work.now).items():
        closed, price = grants.list_closed(origin, work.now), price_uncommitted(terms, origin, work.now)
        await _release_passed_over(work, view, [leg for leg in view.legs if leg.unit == meter], closed, price)
        lacking = await _release_surplus(work, view, meter, need.count(meter))
        if lacking:
            grants = await read_open_grants(work, terms.id)
            await _add(work, view, plan_meter_legs(grants, terms, lacking, origin, work.now))
    lacking = await _release_surplus(work, view, Unit.MICRO_YUAN, compute_money_needed(view.legs))
    free = await view.books.find_budget_free(view.hold.month)
    room, credit = await read_room(work, terms, view.hold.month, free=free)
    if credit is not None:
        credit.require(lacking)
    await _add(work, view, plan_money_legs(room, lacking, view.hold.month))
    return view


def _revive(work: Work, view: HoldView) -> None:
    view.hold.state, view.hold.ended_at = HoldState.PLACED.value, None
    view.hold.expires_at = compute_expiry(work)


async def _release_passed_over(
    work: Work, view: HoldView, legs: Sequence[HoldLeg], closed: Collection[str], price: Decimal
) -> None:
    """Release what nothing is drawn from any more: of grants that pay for none of the job, or at another price."""
    passed = [leg for leg in legs if leg.grant_id in closed or has_other_price(leg, price)]
    await release_legs(work, view, list_open(passed), kind="hold_adjusted")


async def _release_surplus(work: Work, view: HoldView, unit: Unit, quantity: int) -> int:
    """Release what is held beyond `quantity`, from the legs that would pay last; returns what is lacking instead."""
    surplus: list[tuple[HoldLeg, int]] = []
    for leg, open_quantity in list_open([leg for leg in view.legs if leg.unit == unit and not leg.borne]):
        kept = min(quantity, open_quantity)
        quantity -= kept
        surplus.append((leg, open_quantity - kept))
    await release_legs(work, view, surplus, kind="hold_adjusted")
    return quantity


async def _add(work: Work, view: HoldView, legs: list[NewLeg]) -> None:
    if legs and not view.terms.covers(work.now):
        raise errors.NoContractInForce(f"Contract {view.terms.id} is not in force now.", contract_id=view.terms.id)
    await add_legs(work, view, legs, kind="hold_adjusted")
