"""Contracts."""

from typing import Annotated

from fastapi import Query

from broker.contracts import service
from broker.contracts.schemas import ContractOut
from broker.contracts.tables import Contract
from broker.http.edge import BillingReader, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, IdPrefix, Limit, OfCustomer, Page
from pricing.plans import PlanName

router = feature_router("/contracts", "contracts")


@router.get("")
async def list_contracts(
    work: BillingReader,
    customer_id: OfCustomer = None,
    plan: Annotated[PlanName | None, Query(description="Only those on this plan.", examples=["prepaid"])] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[ContractOut]:
    query = service.select_contracts(id_prefix=id_prefix, customer_id=customer_id, plan=plan)
    rows, after = await fetch_page(work.session, query, Contract, limit=limit, cursor=cursor)
    terms = await service.load_terms(work, {row.id for row in rows})
    return Page(data=[ContractOut.of(terms[row.id], work.now) for row in rows], next_cursor=after)


@router.get("/{contract_id}")
async def get_contract(work: BillingReader, contract_id: str) -> ContractOut:
    return ContractOut.of(await service.get_contract(work, contract_id), work.now)
