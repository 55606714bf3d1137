"""Closed billing months: their invoices are final, and usage that is reported later goes to the next open month."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, select, tuple_

from broker.clock import next_month
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.periods import list_months_to_close, read_closed_through
from broker.ledger.tables import ClosedMonth
from broker.persistence.driver import Query
from broker.persistence.membership import is_one_of
from broker.persistence.set_writes import command_inserts
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


async def close_months(work: Work, places: Iterable[tuple[ContractTerms, str]]) -> None:
    """Close months of contracts: nothing is charged to them any more. The caller holds the contracts' locks."""
    rows = [
        {"contract_id": terms.id, "month": month, "customer_id": terms.customer_id, "closed_at": work.now}
        for terms, month in places
    ]
    await work.run_together(command_inserts(ClosedMonth, rows))


async def close_past_periods(work: Work, terms: ContractTerms) -> None:
    """Close the months of a new contract that the house has closed before it was signed: they bill nothing any more."""
    closed_through = await read_closed_through(work)
    if closed_through is not None:
        await close_months(work, [(terms, month) for month in list_months_to_close(terms, closed_through)])


async def list_closed_months(work: Work, contract_id: str) -> set[str]:
    """List the months of a contract that are closed."""
    return {row.month for row in await work.fetch(CLOSED, contract_id=contract_id)}


async def list_closed_of(work: Work, contract_ids: Collection[str]) -> dict[str, set[str]]:
    """List the months of contracts that are closed, by contract; of each there is a set."""
    query = select(ClosedMonth.contract_id, ClosedMonth.month).where(is_one_of(ClosedMonth.contract_id, contract_ids))
    closed: dict[str, set[str]] = {contract_id: set() for contract_id in contract_ids}
    for contract_id, month in await work.session.execute(query):
        closed[contract_id].add(month)
    return closed


async def list_all_closed(work: Work) -> set[tuple[str, str]]:
    """List all months of contracts that are closed, each with the id of its contract."""
    return {
        (each, month) for each, month in await work.session.execute(select(ClosedMonth.contract_id, ClosedMonth.month))
    }


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
