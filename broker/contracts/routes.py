"""Contracts."""

from typing import Annotated

from fastapi import Query

from broker.contracts import service
from broker.contracts.amendment.amending import read_amendments, select_amendments
from broker.contracts.amendment_schemas import AmendmentOut
from broker.contracts.keeping.events import ContractEventKind, select_contract_events
from broker.contracts.reading.listing import has_status, is_on_plan
from broker.contracts.schemas import ContractEventOut, ContractOut
from broker.contracts.tables import Contract, ContractAmendment, ContractEvent
from broker.contracts.terms.agreed import ContractStatus
from broker.http.edge import BillingReader, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, IdPrefix, Limit, OfCustomer, Order, Page
from pricing.plans import PlanName

router = feature_router("/contracts", "contracts")


@router.get("")
async def list_contracts(
    work: BillingReader,
    customer_id: OfCustomer = None,
    plan: Annotated[PlanName | None, Query(description="Only those on this plan now.", examples=["prepaid"])] = None,
    status: Annotated[ContractStatus | None, Query(description="Only these, as of now.", examples=["active"])] = None,
    contract_number: Annotated[
        str | None, Query(description="Only those with this number.", examples=["HT-2026-0117"])
    ] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[ContractOut]:
    query = service.select_contracts(id_prefix=id_prefix, customer_id=customer_id, contract_number=contract_number)
    if plan is not None:
        query = query.where(is_on_plan(plan, work.now))
    if status is not None:
        query = query.where(has_status(status, work.now))
    rows, after = await fetch_page(work.session, query, Contract, limit=limit, cursor=cursor, order=order)
    terms = await service.load_terms(work, {row.id for row in rows})
    return Page(data=[ContractOut.of(terms[row.id], work.now) for row in rows], next_cursor=after)


@router.get("/{contract_id}")
async def get_contract(work: BillingReader, contract_id: str) -> ContractOut:
    return ContractOut.of(await service.get_contract(work, contract_id), work.now)


@router.get("/{contract_id}/events")
async def list_contract_events(
    work: BillingReader,
    contract_id: str,
    kind: Annotated[ContractEventKind | None, Query(description="Only of this kind.", examples=["signed"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[ContractEventOut]:
    """Tell what happened to a contract."""
    terms = await service.get_contract(work, contract_id)
    query = select_contract_events(terms.id, kind)
    rows, after = await fetch_page(work.session, query, ContractEvent, limit=limit, cursor=cursor, order=order)
    return Page(data=[ContractEventOut.of(row) for row in rows], next_cursor=after)


@router.get("/{contract_id}/amendments")
async def list_contract_amendments(
    work: BillingReader, contract_id: str, limit: Limit = 20, cursor: Cursor = None
) -> Page[AmendmentOut]:
    """List what was amended of a contract, and what is planned to be."""
    query = select_amendments((await service.get_contract(work, contract_id)).id)
    rows, after = await fetch_page(work.session, query, ContractAmendment, limit=limit, cursor=cursor)
    amendments = await read_amendments(work, rows)
    return Page(data=[AmendmentOut.of(each, work.now) for each in amendments], next_cursor=after)
