"""When a contract was last used, as far as it is metered."""

from datetime import datetime

from sqlalchemy import func, select

from broker.metering.tables import UsageEvent
from broker.work import Work


async def find_last_use(work: Work, customer_id: str, contract_id: str) -> datetime | None:
    """Find when the last usage of a customer's contract ended that was accepted; None where there is none."""
    own = (UsageEvent.customer_id == customer_id) & (UsageEvent.contract_id == contract_id)
    last: datetime | None = await work.session.scalar(select(func.max(UsageEvent.ended_at)).where(own))
    return last
