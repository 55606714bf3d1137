"""Invoices."""

from typing import Annotated

from fastapi import Query

from broker.billing import service
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.billing.schemas import (
    LIKE_A_MONTH,
    MONTH_PATTERN,
    InvoiceDraftIn,
    InvoiceOut,
    InvoiceWithLinesOut,
    PaymentIn,
)
from broker.billing.tables import Invoice
from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, OfContract, OfCustomer, Page
from broker.work import Work

router = feature_router("/invoices", "billing")


async def _with_lines(work: Work, invoice: Invoice) -> InvoiceWithLinesOut:
    return InvoiceWithLinesOut.with_lines(invoice, await service.list_lines(work, invoice.id))


@router.post("", status_code=201)
async def draft_invoice(work: FinanceWork, body: InvoiceDraftIn) -> InvoiceWithLinesOut:
    """Draft the invoice of a contract's month, or write its draft anew; month close does the same by itself."""
    return await _with_lines(work, await service.draft_usage_invoice(work, body.contract_id, body.month))


@router.get("")
async def list_invoices(
    work: BillingReader,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    status: Annotated[InvoiceStatus | None, Query(description="Only these.", examples=["draft"])] = None,
    kind: Annotated[InvoiceKind | None, Query(description="Only these.", examples=["usage"])] = None,
    month: Annotated[
        str | None,
        LIKE_A_MONTH,
        Query(pattern=MONTH_PATTERN, description="Only this month's usage.", examples=["2026-11"]),
    ] = None,
    number: Annotated[str | None, Query(description="The one with this number.", examples=["INV-2026-000001"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[InvoiceOut]:
    query = service.select_invoices(
        customer_id=customer_id, contract_id=contract_id, status=status, kind=kind, month=month, number=number
    )
    rows, after = await fetch_page(work.session, query, Invoice, limit=limit, cursor=cursor)
    return Page(data=[InvoiceOut.of(row) for row in rows], next_cursor=after)


@router.get("/{invoice_id}")
async def get_invoice(work: BillingReader, invoice_id: str) -> InvoiceWithLinesOut:
    return await _with_lines(work, await service.get_invoice(work, invoice_id))


@router.post("/{invoice_id}/finalize")
async def finalize_invoice(work: FinanceWork, invoice_id: str) -> InvoiceWithLinesOut:
    """Finalize a past month's invoice: it gets its number and never changes again."""
    return await _with_lines(work, await service.finalize_invoice(work, invoice_id))


@router.post("/{invoice_id}/pay")
async def pay_invoice(work: FinanceWork, invoice_id: str, body: PaymentIn | None = None) -> InvoiceWithLinesOut:
    """Mark an invoice as paid, or pay it by the customer's credit; a paid advance credits its hours to the contract."""
    from_credit = body is not None and body.from_credit
    return await _with_lines(work, await service.pay_invoice(work, invoice_id, from_credit=from_credit))
