"""Whether a job has used up what it was promised, or what its contract allows, and must stop."""

from dataclasses import replace
from enum import StrEnum

from broker.clock import billing_month
from broker.contracts.model import ContractTerms, Overage
from broker.ledger.charge_limit import NOTHING_PROMISED, Bound, Promise
from broker.ledger.charging import Charging, Supply
from broker.ledger.closed_months import get_open_month
from broker.ledger.hold_legs import HoldView
from broker.ledger.legs import read_open_grants
from broker.ledger.promises import read_charge_limits
from broker.ledger.supply import plan_supply
from broker.work import Work
from pricing.usage import Unit, Usage

NEXT_UNITS = Usage(1, 1)


class Shortage(StrEnum):
    """What is gone: what the job may cost, the contract's hours, the month's budget, or the contract's term."""

    LIMIT = "limit"
    BALANCE = "balance"
    BUDGET = "budget"
    CONTRACT_ENDED = "contract_ended"


async def find_shortage(work: Work, view: HoldView, *, promise: Promise = NOTHING_PROMISED) -> Shortage | None:
    """Find why the house would bear what a job that has gone beyond a promise uses next; None where it may go on.

    It is asked of what decides each capture. A job that has its cap goes on: there the house has promised to pay. The
    caller holds the locks of hold and contract, or only wants to know.
    """
    terms = view.terms
    if terms.ends_at is not None and work.now >= terms.ends_at:
        return Shortage.CONTRACT_ENDED
    if not any(leg.borne and leg.captured for leg in view.legs):
        return None
    month = await get_open_month(work, terms.id, billing_month(work.now, terms.time_zone))
    limits = await read_charge_limits(work, view, promise, month)
    grants = await read_open_grants(work, terms.id)

    def supply_of(allowed: ContractTerms) -> Supply:
        return plan_supply(allowed, grants, view.states(), NEXT_UNITS, moment=work.now, month=month)

    bound = Charging(limits).find_next_bound(supply_of(replace(terms, overage=Overage.BILL)))
    if bound == Bound.CAP:
        return None
    if bound != Bound.LIMIT and not supply_of(terms).units[Unit.GPU_SECONDS]:
        return Shortage.BALANCE
    return None if bound is None else Shortage(bound.value)
