"""Warnings before paid hours end: 3, 2 and 1 days before the forecast at the pace of late says so. An event each.

The forecast itself is the ledger's (`days_left`, 余量预警); it only warns, and puts nobody into arrears.
"""

from decimal import Decimal

from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import GrantStatus
from broker.ledger import service as ledger
from broker.work import Work
from pricing.usage import Unit

WARNING_DAYS = (1, 2, 3)


def find_warning(days_left: Decimal | None) -> int | None:
    """Find which warning is due by a forecast, in days: the nearest that has come; None where it is further. Pure."""
    return None if days_left is None else next((days for days in WARNING_DAYS if days_left <= days), None)


async def warn_of_end(work: Work, contract_id: str) -> bool:
    """Record the warning that is due of a contract; tells whether it is new.

    Each of the three is told once of all that was bought by then: where more is bought, they begin anew.
    """
    (hours,) = [each for each in await ledger.read_coverage(work, contract_id) if each.meter == Unit.GPU_SECONDS]
    left = await _read_left(work, contract_id)
    forecast = hours.pace.compute_days_left(left)
    days = find_warning(forecast)
    if days is None:
        return False
    terms = await contracts.get_contract(work, contract_id)
    facts = {"days_left": days, "left_gpu_seconds": left, "forecast_days": str(forecast)}
    occasion = f"{hours.granted}/{days}"
    return await record_contract_event(work, terms, ContractEventKind.MONEY_ENDING, facts, occasion=occasion)


async def _read_left(work: Work, contract_id: str) -> int:
    """Read what is left of paid hours: what live jobs hold is not used yet. Units: GPU-seconds."""
    grants = [each for each in await contracts.list_grants(work, contract_id) if each.unit == Unit.GPU_SECONDS]
    usable = [each for each in grants if each.status == GrantStatus.ACTIVE and each.is_within_term(work.now)]
    balances = await ledger.read_grant_balances(work, [each for each in usable if not each.billable])
    return sum(each.free + each.held for each in balances)
