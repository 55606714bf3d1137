"""Whether a job has used up what it was promised, or what its contract allows, and must stop."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from broker.contracts.terms.arrears import Use
from broker.contracts.terms.model import ContractTerms, Overage
from broker.ledger.books.model import Leg
from broker.ledger.capturing.charging import Charging, Supply
from broker.ledger.capturing.supply import plan_draws, plan_supply
from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.holding.promises import read_charge_limits
from broker.ledger.rating.charge_limit import NOTHING_PROMISED, Bound, Promise
from broker.work import Work
from pricing.usage import Unit, Usage

NEXT_UNITS = Usage(1, 1)


class Shortage(StrEnum):
    """What is gone: what the job may cost, the contract's hours, the month's budget, or the contract's term.

    ARREARS: the contract is in arrears, and the job has nothing that is paid.
    """

    LIMIT = "limit"
    BALANCE = "balance"
    BUDGET = "budget"
    CONTRACT_ENDED = "contract_ended"
    ARREARS = "arrears"


async def find_shortage(work: Work, view: HoldView, *, promise: Promise = NOTHING_PROMISED) -> Shortage | None:
    """Find why a job must stop: its contract has ended, or it has gone beyond a promise and would go on beyond it.

    None where it may go on. A job that has its cap goes on: there the house has promised to pay.
    """
    ends_at = view.terms.ends_at
    if ends_at is not None and work.now >= ends_at:
        return Shortage.CONTRACT_ENDED
    if await is_beyond_paid(view, work.now):
        return Shortage.ARREARS
    if not any(leg.borne and leg.captured for leg in view.legs):
        return None
    return await _find_end(view, promise, work.now)


async def find_shortage_ahead(work: Work, view: HoldView, *, promise: Promise = NOTHING_PROMISED) -> Shortage | None:
    """Find why a job that began now would have to stop at once; None where it may begin."""
    if await is_beyond_paid(view, work.now):
        return Shortage.ARREARS
    return await _find_end(view, promise, work.now)


async def is_beyond_paid(view: HoldView, moment: datetime) -> bool:
    """Tell whether a contract in arrears lets a job not go on: nothing paid pays for its next GPU-second.

    What was used all the same is charged like any other usage.
    """
    terms = view.terms
    if terms.allowed.running != Use.WITHIN_PAID_GRANTS:
        return terms.allowed.running == Use.NONE
    if terms.ends_before(moment):
        return True
    grants, origins = await view.books.read_grants(), view.origins_at(moment)
    draws, more = plan_draws(terms, grants, view.legs, origins[Unit.GPU_SECONDS], 1, moment)
    legs: list[Leg] = [*view.legs, *more]
    return not draws or any(legs[draw.index].billable for draw in draws)


async def is_exhausted(work: Work, view: HoldView, used_at: datetime) -> bool:
    """Tell whether the contract pays for no more usage of this moment, whoever has used up what there was."""
    return await _find_end(view, NOTHING_PROMISED, min(used_at, work.now)) is not None


async def _find_end(view: HoldView, promise: Promise, moment: datetime) -> Shortage | None:
    """Ask what decides each capture about the next GPU-second and the next token of a job."""
    terms = view.terms
    if terms.ends_before(moment):
        return Shortage.CONTRACT_ENDED
    months = await view.books.find_billed_month(terms.billing_month(moment))
    limits = await read_charge_limits(view, promise, months.billed)
    grants = await view.books.read_grants()

    def supply_of(allowed: ContractTerms) -> Supply:
        legs, origins = view.legs, view.origins_at(moment)
        return plan_supply(allowed, grants, legs, NEXT_UNITS, origins=origins, moment=moment, months=months)

    then = terms.at(moment)
    selling = replace(then, overage=Overage.CONTRACT) if then.overage == Overage.BLOCK else then
    bound = Charging(limits).find_next_bound(supply_of(selling))
    if bound == Bound.CAP:
        return None
    if bound != Bound.LIMIT and not supply_of(terms).units[Unit.GPU_SECONDS]:
        return Shortage.BALANCE
    return None if bound is None else Shortage(bound.value)
