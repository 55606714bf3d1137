"""Contracts."""

from broker.contracts import service
from broker.contracts.schemas import ContractOut
from broker.contracts.tables import Contract
from broker.http.edge import AnyKey, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, Page

router = feature_router("/contracts", "contracts")


@router.get("")
async def list_contracts(work: AnyKey, limit: Limit = 20, cursor: Cursor = None) -> Page[ContractOut]:
    rows, after = await fetch_page(work.session, service.select_contracts(), Contract, limit=limit, cursor=cursor)
    terms = await service.load_terms(work, {row.id for row in rows})
    return Page(data=[ContractOut.of(terms[row.id], work.now) for row in rows], next_cursor=after)


@router.get("/{contract_id}")
async def get_contract(work: AnyKey, contract_id: str) -> ContractOut:
    return ContractOut.of(await service.get_contract(work, contract_id), work.now)
