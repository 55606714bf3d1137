"""Closed billing months: their invoices are final, and usage that is reported later goes to the next open month."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import bindparam, select, tuple_

from broker.clock import next_month
from broker.contracts.terms.model import ContractTerms
from broker.ledger.tables import ClosedMonth
from broker.persistence.driver import Query
from broker.persistence.tenancy import owns
from broker.work import Work

CLOSED = Query(
    select(ClosedMonth.month).where(ClosedMonth.contract_id == bindparam("contract_id"), owns(ClosedMonth.customer_id))
)


@dataclass(frozen=True)
class BilledMonth:
    """The month that usage is of, and the one that bills it: a later one, where its own was closed before it came."""

    used: str
    billed: str

    @property
    def late_of(self) -> str | None:
        """Tell the closed month that the usage is late for; None: it is billed by its own."""
        return None if self.used == self.billed else self.used


async def close_month(work: Work, terms: ContractTerms, month: str) -> None:
    """Close a month: nothing is charged to it any more. The caller holds the contract's lock."""
    row = ClosedMonth(contract_id=terms.id, month=month, customer_id=terms.customer_id, closed_at=work.now)
    work.session.add(row)
    await work.session.flush()


async def get_open_month(work: Work, contract_id: str, month: str) -> str:
    """Get the first month, from this one on, that is not closed. The caller holds the contract's lock."""
    return find_open_month(await list_closed_months(work, contract_id), month)


async def list_closed_months(work: Work, contract_id: str) -> set[str]:
    """List the months of a contract that are closed."""
    return {row.month for row in await work.fetch(CLOSED, contract_id=contract_id)}


async def find_closed(work: Work, places: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Find which of these months are closed, each with the id of its contract."""
    of_these = tuple_(ClosedMonth.contract_id, ClosedMonth.month).in_(places)
    found = await work.session.execute(select(ClosedMonth.contract_id, ClosedMonth.month).where(of_these))
    return {(contract_id, month) for contract_id, month in found}


def find_open_month(closed: Collection[str], month: str) -> str:
    """Find the first month, from this one on, that is not closed."""
    while month in closed:
        month = next_month(month)
    return month
