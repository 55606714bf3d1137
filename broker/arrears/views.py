"""How contracts and customers stand, as finance and customers look at it. It decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from broker.arrears.tables import ArrearsChange, ArrearsDeletion, ArrearsExtension, ArrearsRecord
from broker.contracts import service as contracts
from broker.contracts.terms.arrears import ArrearsState
from broker.contracts.terms.model import ContractTerms
from broker.identity import service as identity
from broker.work import Work

__all__ = ["ArrearsRecord", "ArrearsView", "find_worst", "select_deletions", "view_contract", "view_customer"]
# From paying in time to closed: a customer stands as the worst of its contracts.
ORDER = list(ArrearsState)


@dataclass(frozen=True)
class ArrearsView:
    """How a contract stands, with its terms and what led there, the oldest first."""

    terms: ContractTerms
    record: ArrearsRecord | None
    changes: Sequence[ArrearsChange]
    extensions: Sequence[ArrearsExtension]

    @property
    def state(self) -> ArrearsState:
        return self.terms.arrears_state


async def view_contract(work: Work, contract_id: str) -> ArrearsView:
    """View how a contract stands, as it was last decided. Raises: NotFound."""
    return await _view(work, await contracts.get_contract(work, contract_id))


async def view_customer(work: Work, customer_id: str) -> list[ArrearsView]:
    """View how the contracts of a customer stand, the oldest first. Raises: NotFound."""
    await identity.get_customer(work, customer_id)
    rows = (await work.session.scalars(contracts.select_contracts(customer_id=customer_id))).all()
    found = await contracts.load_terms(work, {row.id for row in rows})
    return [await _view(work, found[contract_id]) for contract_id in sorted(found)]


def find_worst(views: Sequence[ArrearsView]) -> ArrearsState:
    """Find how a customer stands: as the worst of its contracts. Pure."""
    return max((view.state for view in views), key=ORDER.index, default=ArrearsState.CURRENT)


async def _view(work: Work, terms: ContractTerms) -> ArrearsView:
    record = await work.session.scalar(select(ArrearsRecord).where(ArrearsRecord.contract_id == terms.id))
    if record is None:
        return ArrearsView(terms, None, (), ())
    return ArrearsView(
        terms,
        record,
        await _list_of(work, ArrearsChange, terms.id),
        await _list_of(work, ArrearsExtension, terms.id),
    )


async def _list_of(work: Work, table: Any, contract_id: str) -> list[Any]:
    query = select(table).where(table.contract_id == contract_id).order_by(table.id)
    return list(await work.session.scalars(query))


async def select_deletions(work: Work, contract_id: str) -> Select[ArrearsDeletion]:
    """Select what was deleted of a contract that was closed. Raises: NotFound."""
    await contracts.get_contract(work, contract_id)
    return select(ArrearsDeletion).where(ArrearsDeletion.contract_id == contract_id)
