"""What fapiao say beyond what was consumed (欠票): a correction came after their issue, and red ones are needed."""

from dataclasses import dataclass

from sqlalchemy import func, select

from broker.fapiao.model import Invoiceable
from broker.fapiao.service import OPEN, read_invoiceable
from broker.fapiao.tables import Fapiao
from broker.identity.service import list_names
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class FapiaoDebt:
    """A customer whose fapiao need red ones."""

    customer_id: str
    customer_name: str
    there: Invoiceable


async def list_debts(work: Work) -> list[FapiaoDebt]:
    """List every customer with such a debt, by id: what the close of a month asks about."""
    query = select(Fapiao.customer_id).where(Fapiao.status.in_(OPEN)).group_by(Fapiao.customer_id)
    customers = list(await work.session.scalars(query.having(func.sum(Fapiao.amount_micros) > 0)))
    there = {customer_id: await read_invoiceable(work, customer_id) for customer_id in sorted(customers)}
    owing = {customer_id: each for customer_id, each in there.items() if each.debt.micros}
    names = await list_names(work, owing)
    return [FapiaoDebt(customer_id, names[customer_id], each) for customer_id, each in owing.items()]


async def read_debt(work: Work, customer_id: str) -> Money:
    """Read what a customer's fapiao say beyond what it consumed."""
    return (await read_invoiceable(work, customer_id)).debt
