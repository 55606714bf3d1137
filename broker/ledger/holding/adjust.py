"""Adjusting a hold: before a paused job goes on, it holds what it still needs and no more."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from broker import errors
from broker.ledger.books.model import HoldState
from broker.ledger.holding.adjusted_legs import compute_money, list_passed_over, part_legs, plan_adjusted_legs
from broker.ledger.holding.hold_legs import HoldView, add_legs, list_open, release_legs
from broker.ledger.holding.holds import compute_expiry, lock_hold, roll_hold
from broker.ledger.holding.legs import NewLeg, plan_money_leg, plan_money_legs, read_open_grants
from broker.ledger.holding.paid_grants import find_usable, require_within_paid
from broker.ledger.holding.room import read_room
from broker.ledger.holding.wide_holds import find_dearest, widen_legs
from broker.ledger.tables import HoldLeg
from broker.work import Work
from pricing.grants import UsageOrigin
from pricing.usage import Unit, Usage


async def adjust_hold(work: Work, job_id: str, *, needs: Mapping[str | None, Usage]) -> HoldView:
    """Release what a job no longer needs and hold what it lacks: both, or nothing changes at all.

    `needs` are those on each GPU type that it may run on, of which one will come; None: the type of the hold. A hold
    that had expired is live again after.
    Raises: NotFound, NoContractInForce, InArrears, InsufficientBalance, CreditLimitExceeded, BudgetExceeded.
    """
    view = await lock_hold(work, job_id)
    _revive(work, view)
    await roll_hold(work, view, view.terms.billing_month(work.now))
    wanted, micros = await _plan(work, view, needs)
    surplus, lacking = part_legs(view.legs, wanted)
    await release_legs(work, view, surplus, kind="hold_adjusted")
    await _add(work, view, lacking)
    lacking_micros = await _release_surplus_money(work, view, micros)
    free = await view.books.find_budget_free(view.hold.month)
    room, credit = await read_room(work, view.terms, view.hold.month, free=free)
    if credit is not None:
        credit.require(lacking_micros)
    await _add(work, view, plan_money_legs(room, lacking_micros, view.hold.month))
    return view


async def _plan(work: Work, view: HoldView, needs: Mapping[str | None, Usage]) -> tuple[Sequence[NewLeg], int]:
    """Plan what the hold should have of each source, and the money for it. Units: micro-yuan."""
    origins = [replace(view, run_gpu_type=gpu_type).origins_at(work.now) for gpu_type in needs]
    await _release_passed_over(work, view, origins)
    # What was released may have come back as a compensation.
    grants = find_usable(view.terms, await read_open_grants(work, view.terms.id))
    plans = [
        plan_adjusted_legs(view.terms, grants, view.legs, need, of_type, work.now)
        for need, of_type in zip(needs.values(), origins, strict=True)
    ]
    for plan in plans:
        require_within_paid(view.terms, plan)
    money = [compute_money(view.legs, plan) for plan in plans]
    dearest = find_dearest(
        [[*plan, *plan_money_leg(micros, view.hold.month)] for plan, micros in zip(plans, money, strict=True)]
    )
    return widen_legs(plans, dearest, grants), money[dearest]


async def _release_passed_over(work: Work, view: HoldView, origins: Sequence[Mapping[Unit, UsageOrigin]]) -> None:
    """Release what nothing is drawn from any more, whichever type runs."""
    grants = await read_open_grants(work, view.terms.id)
    passed = set.intersection(
        *(list_passed_over(view.terms, grants, view.legs, of_type, work.now) for of_type in origins)
    )
    await release_legs(work, view, list_open([leg for leg in view.legs if leg.id in passed]), kind="hold_adjusted")


def _revive(work: Work, view: HoldView) -> None:
    view.hold.state, view.hold.ended_at = HoldState.PLACED.value, None
    view.hold.expires_at = compute_expiry(work.services)


async def _release_surplus_money(work: Work, view: HoldView, micros: int) -> int:
    """Release money that is held beyond this, from the legs that would pay last; returns what is lacking instead."""
    surplus: list[tuple[HoldLeg, int]] = []
    for leg, open_quantity in list_open([leg for leg in view.legs if leg.unit == Unit.MICRO_YUAN and not leg.borne]):
        kept = min(micros, open_quantity)
        micros -= kept
        surplus.append((leg, open_quantity - kept))
    await release_legs(work, view, surplus, kind="hold_adjusted")
    return micros


async def _add(work: Work, view: HoldView, legs: list[NewLeg]) -> None:
    if legs and not view.terms.covers(work.now):
        raise errors.NoContractInForce(f"Contract {view.terms.id} is not in force now.", contract_id=view.terms.id)
    await add_legs(work, view, legs, kind="hold_adjusted")
