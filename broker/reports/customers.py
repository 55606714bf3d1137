"""Customers, and the fapiao of one, as finance's pages list them."""

from sqlalchemy import select

from broker.fapiao.tables import Fapiao
from broker.http.paging import fetch_page
from broker.identity.tables import Customer
from broker.work import Work


async def fetch_customers(
    work: Work, *, name: str | None, limit: int, cursor: str | None
) -> tuple[list[Customer], str | None]:
    """Fetch a page of the customers with this in their names, in any case, newest first, and the next page's cursor.

    Raises: InvalidRequest.
    """
    query = select(Customer)
    if name is not None:
        query = query.where(Customer.name.icontains(name, autoescape=True))
    return await fetch_page(work.session, query, Customer, limit=limit, cursor=cursor)


async def list_latest_fapiao(work: Work, customer_id: str, *, limit: int) -> list[Fapiao]:
    """List the latest fapiao of a customer, the newest first."""
    query = select(Fapiao).where(Fapiao.customer_id == customer_id).order_by(Fapiao.id.desc()).limit(limit)
    return list(await work.session.scalars(query))
