"""What is left of a month's budget: the most that the month's usage may add to invoices."""

from sqlalchemy import func, select

from broker.ledger.model import HoldState
from broker.ledger.rates import read_invoiced
from broker.ledger.tables import Hold, HoldLeg
from broker.work import Work
from pricing.money import Money


async def read_budget_left(work: Work, contract_id: str, month: str, monthly_budget_micros: int) -> Money:
    """Read what of a budget neither the month's invoice asks for so far nor a live job holds; never below zero."""
    taken = await read_invoiced(work, contract_id, month) + await _read_held(work, contract_id, month)
    return Money(max(0, monthly_budget_micros - taken.micros))


async def _read_held(work: Work, contract_id: str, month: str) -> Money:
    query = (
        select(func.coalesce(func.sum(HoldLeg.held - HoldLeg.captured - HoldLeg.released), 0))
        .join(Hold, Hold.id == HoldLeg.hold_id)
        .where(Hold.contract_id == contract_id, Hold.state == HoldState.PLACED.value)
        .where(HoldLeg.month == month, ~HoldLeg.borne)
    )
    return Money(int(await work.session.scalar(query) or 0))
