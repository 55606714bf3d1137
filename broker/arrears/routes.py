"""Arrears: how customers stand, who is behind, and time that finance gives."""

from typing import Annotated

from fastapi import Query

from broker.arrears import service
from broker.arrears.extensions import extend
from broker.arrears.schemas import (
    ArrearsDeletionOut,
    ArrearsOut,
    ArrearsWithHistoryOut,
    CustomerArrearsOut,
    ExtensionIn,
)
from broker.arrears.tables import ArrearsDeletion, ArrearsRecord
from broker.arrears.views import select_deletions, view_contract, view_customer
from broker.contracts.terms.arrears import ArrearsState
from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfCustomer, Order, Page

router = feature_router("", "billing")


@router.get("/arrears")
async def list_arrears(
    work: BillingReader,
    state: Annotated[ArrearsState | None, Query(description="Only those in this state.", examples=["grace"])] = None,
    customer_id: OfCustomer = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[ArrearsOut]:
    """List the contracts that are or once were in arrears, newest first."""
    query = service.select_records(customer_id=customer_id, state=state)
    rows, after = await fetch_page(work.session, query, ArrearsRecord, limit=limit, cursor=cursor, order=order)
    return Page(data=[ArrearsOut.of(row) for row in rows], next_cursor=after)


@router.get("/customers/{customer_id}/arrears")
async def get_customer_arrears(work: BillingReader, customer_id: str) -> CustomerArrearsOut:
    """Get how a customer stands: what is overdue, how to pay it, what each contract may do, and how it came there."""
    return CustomerArrearsOut.of(customer_id, await view_customer(work, customer_id), work.settings)


@router.get("/contracts/{contract_id}/arrears")
async def get_contract_arrears(work: BillingReader, contract_id: str) -> ArrearsWithHistoryOut:
    return ArrearsWithHistoryOut.of_view(await view_contract(work, contract_id))


@router.get("/contracts/{contract_id}/arrears/deletions")
async def list_arrears_deletions(
    work: BillingReader, contract_id: str, limit: Limit = 20, cursor: Cursor = None
) -> Page[ArrearsDeletionOut]:
    """List what was deleted after a contract was closed, newest first; invoices and their evidence stay."""
    query = await select_deletions(work, contract_id)
    rows, after = await fetch_page(work.session, query, ArrearsDeletion, limit=limit, cursor=cursor)
    return Page(data=[ArrearsDeletionOut.of(row) for row in rows], next_cursor=after)


@router.post("/contracts/{contract_id}/arrears/extensions", status_code=201)
async def extend_arrears(work: FinanceWork, contract_id: str, body: ExtensionIn) -> ArrearsWithHistoryOut:
    """Give a contract in arrears time: until the end of that day it is no worse than in grace, and no day counts."""
    await extend(work, body.read_extension(contract_id))
    return ArrearsWithHistoryOut.of_view(await view_contract(work, contract_id))
