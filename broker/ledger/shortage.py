"""Whether a job has used up what its contract allows, and must stop."""

from enum import StrEnum

from broker.clock import billing_month
from broker.contracts.model import Overage
from broker.ledger import accounts
from broker.ledger.holds import HoldView
from broker.ledger.legs import read_available
from broker.ledger.model import AccountKind
from broker.work import Work
from pricing.usage import Unit


class Shortage(StrEnum):
    """What is gone: the contract's hours, or the month's budget."""

    BALANCE = "balance"
    BUDGET = "budget"


async def find_shortage(work: Work, view: HoldView) -> Shortage | None:
    """Find what a job has gone beyond, hours or budget, with still nothing left of it; None where it may go on."""
    if await _is_out_of_hours(work, view):
        return Shortage.BALANCE
    if await _is_out_of_budget(work, view):
        return Shortage.BUDGET
    return None


async def _is_out_of_hours(work: Work, view: HoldView) -> bool:
    if view.terms.overage == Overage.BILL:
        return False
    gpu = [leg for leg in view.legs if leg.unit == Unit.GPU_SECONDS and not leg.borne]
    return any(leg.grant_id is None for leg in gpu) and await read_available(work, view.terms) == 0


async def _is_out_of_budget(work: Work, view: HoldView) -> bool:
    terms = view.terms
    if terms.monthly_budget_micros is None:
        return False
    month = billing_month(work.now, terms.time_zone)
    over_id = await accounts.find_account(work, terms.id, Unit.MICRO_YUAN, AccountKind.OVER_BUDGET)
    if not any(leg.account_id == over_id and leg.month == month for leg in view.legs):
        return False
    return await accounts.read_budget_left(work, terms.id, month, terms.monthly_budget_micros) == 0
