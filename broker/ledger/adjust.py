"""Refitting a hold: before a paused job goes on it holds what it still needs, and no more."""

from datetime import timedelta

from broker import errors
from broker.clock import billing_month
from broker.contracts.model import ContractTerms
from broker.ledger.holds import HoldView, add_legs, lock_hold, release_legs, roll_hold, to_state
from broker.ledger.legs import NewLeg, plan_gpu_legs, plan_money_legs, plan_token_legs
from broker.ledger.model import Beyond, HoldState, Payer, Unit, compute_money_needed
from broker.ledger.tables import HoldLeg
from broker.work import Work


async def refit_hold(work: Work, job_id: str, *, gpu_seconds: int, tokens: int) -> HoldView:
    """Give back what a job needs no more, and hold what it lacks, or nothing changes at all.

    A hold that had expired lives again.
    Raises: NotFound, NoContractInForce, InsufficientBalance, BudgetExceeded.
    """
    terms, view = await lock_hold(work, job_id)
    _revive(work, view)
    await roll_hold(work, terms, view, billing_month(work.now, terms.time_zone))
    lacking = await _fit(work, view, Unit.GPU_SECONDS, gpu_seconds)
    await _add(work, view, terms, await plan_gpu_legs(work, terms, lacking, Beyond.REFUSE) if lacking else [])
    lacking = await _fit(work, view, Unit.TOKENS, tokens)
    await _add(work, view, terms, await plan_token_legs(work, terms, lacking))
    lacking = await _fit(work, view, Unit.MICRO_YUAN, compute_money_needed(view.states()))
    await _add(work, view, terms, await plan_money_legs(work, terms, view.hold.month, lacking, Beyond.REFUSE))
    return view


def _revive(work: Work, view: HoldView) -> None:
    view.hold.state, view.hold.ended_at = HoldState.PLACED.value, None
    view.hold.expires_at = work.now + timedelta(seconds=work.settings.hold_seconds)


async def _fit(work: Work, view: HoldView, unit: Unit, quantity: int) -> int:
    """Release what is held beyond `quantity`, from the legs that would pay last; what is lacking instead."""
    surplus: list[tuple[HoldLeg, int]] = []
    for leg in view.legs:
        if leg.unit == unit and leg.payer == Payer.CUSTOMER:
            kept = min(quantity, to_state(leg).open_quantity)
            quantity -= kept
            surplus.append((leg, to_state(leg).open_quantity - kept))
    await release_legs(work, view.hold, surplus, kind="hold_refitted")
    return quantity


async def _add(work: Work, view: HoldView, terms: ContractTerms, legs: list[NewLeg]) -> None:
    if legs and not terms.covers(work.now):
        raise errors.NoContractInForce(f"Contract {terms.id} is not in force now.", contract_id=terms.id)
    await add_legs(work, view, legs, kind="hold_refitted")
