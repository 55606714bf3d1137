"""Credit notes."""

from typing import Annotated

from fastapi import Query

from broker.billing import credit_notes
from broker.billing.credit_note_schemas import CreditNoteIn, CreditNoteOut, CreditNoteWithLinesOut
from broker.billing.fapiao_debt import FapiaoDebts, ReadDebt
from broker.billing.tables import CreditNote
from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfContract, OfCustomer, Order, Page
from broker.work import Work

router = feature_router("/credit-notes", "billing")


async def _with_lines(work: Work, note: CreditNote, read_debt: ReadDebt) -> CreditNoteWithLinesOut:
    lines, debt = await credit_notes.list_credited_lines(work, note.id), await read_debt(work, note.customer_id)
    return CreditNoteWithLinesOut.with_lines(note, lines, debt)


@router.post("", status_code=201)
async def issue_credit_note(work: FinanceWork, read_debt: FapiaoDebts, body: CreditNoteIn) -> CreditNoteWithLinesOut:
    """Take back a part of a final invoice or all: it comes off what is due, and is a credit where that was paid."""
    return await _with_lines(work, await credit_notes.issue_credit_note(work, body.read_credit_note()), read_debt)


@router.get("")
async def list_credit_notes(
    work: BillingReader,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    invoice_id: Annotated[str | None, Query(description="Only against this invoice.", examples=["inv_01k"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[CreditNoteOut]:
    query = credit_notes.select_credit_notes(customer_id=customer_id, contract_id=contract_id, invoice_id=invoice_id)
    rows, after = await fetch_page(work.session, query, CreditNote, limit=limit, cursor=cursor, order=order)
    return Page(data=[CreditNoteOut.of(row) for row in rows], next_cursor=after)


@router.get("/{credit_note_id}")
async def get_credit_note(work: BillingReader, read_debt: FapiaoDebts, credit_note_id: str) -> CreditNoteWithLinesOut:
    return await _with_lines(work, await credit_notes.get_credit_note(work, credit_note_id), read_debt)
