"""The rows of payments as pages show them; how many a query selects is counted in one statement."""

from sqlalchemy import Select, func, select

from broker.payments.allocating import list_allocations
from broker.payments.tables import Payment, PaymentAllocation
from broker.work import Work

__all__ = ["Payment", "PaymentAllocation", "count_payments", "list_allocations"]


async def count_payments(work: Work, query: Select[Payment]) -> int:
    """Count the payments that a query selects."""
    return int(await work.session.scalar(select(func.count()).select_from(query.subquery())) or 0)
