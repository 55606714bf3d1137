"""Whom customers want told, and what they were told."""

from typing import Annotated

from fastapi import Query

from broker.http.edge import AnyKey, BillingReader, BillingWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfCustomer, Order, Page
from broker.identity.service import get_customer
from broker.notices.contacts import add_contact, remove_contact, select_contacts
from broker.notices.model import NoticeStatus
from broker.notices.schemas import ContactIn, ContactOut, SentNoticeOut
from broker.notices.sending import select_notices
from broker.notices.tables import Notice, NoticeContact

router = feature_router("", "billing")


@router.post("/customers/{customer_id}/contacts", status_code=201)
async def add_customer_contact(work: BillingWork, customer_id: str, body: ContactIn) -> ContactOut:
    """Name somebody to be told of invoices, arrears, budgets and what is about to end, by mail or in a chat."""
    return ContactOut.of(await add_contact(work, body.read_contact(customer_id)))


@router.get("/customers/{customer_id}/contacts")
async def list_customer_contacts(
    work: BillingReader, customer_id: str, limit: Limit = 20, cursor: Cursor = None
) -> Page[ContactOut]:
    """List whom a customer wants told, newest first."""
    await get_customer(work, customer_id)
    rows, after = await fetch_page(
        work.session, select_contacts(customer_id), NoticeContact, limit=limit, cursor=cursor
    )
    return Page(data=[ContactOut.of(row) for row in rows], next_cursor=after)


@router.delete("/customers/{customer_id}/contacts/{contact_id}")
async def remove_customer_contact(work: BillingWork, customer_id: str, contact_id: str) -> ContactOut:
    """Tell a contact nothing more."""
    return ContactOut.of(await remove_contact(work, customer_id, contact_id))


@router.get("/notices")
async def list_notices(
    work: AnyKey,
    customer_id: OfCustomer = None,
    status: Annotated[
        NoticeStatus | None,
        Query(description="Only these; `failed`: given up.", examples=["failed"]),
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[SentNoticeOut]:
    """List what contacts were told, or are to be told, newest first."""
    query = select_notices(customer_id=customer_id, status=status)
    rows, after = await fetch_page(work.session, query, Notice, limit=limit, cursor=cursor, order=order)
    return Page(data=[SentNoticeOut.of(row) for row in rows], next_cursor=after)
