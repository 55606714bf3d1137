"""Invoices."""

from asyncio import to_thread
from typing import Annotated, Literal

from fastapi import Header, Query, Response

from broker.billing import service
from broker.billing.documents.language import InLanguage
from broker.billing.documents.service import (
    MEDIA_TYPES,
    WORKBOOK,
    DocumentFormat,
    choose_format,
    read_document,
    write_document,
)
from broker.billing.evidence import pack_evidence, read_evidence, write_evidence
from broker.billing.fapiao_debt import FapiaoDebts
from broker.billing.model import InvoiceKind, InvoiceStatus
from broker.billing.schemas import (
    LIKE_A_MONTH,
    MONTH_PATTERN,
    BreakdownOut,
    InvoiceDraftIn,
    InvoiceOut,
    InvoiceVoidIn,
    InvoiceWithLinesOut,
    UpcomingInvoiceOut,
)
from broker.billing.tables import Invoice
from broker.billing.upcoming import list_upcoming
from broker.billing.voiding import void_invoice
from broker.contracts import service as contracts
from broker.http.edge import BillingCaller, BillingReader, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, IdPrefix, Limit, OfContract, OfCustomer, Order, Page
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
    contract_number: Annotated[
        str | None, Query(description="Only those of contracts with this number.", examples=["HT-2026-017"])
    ] = None,
    purchase_order: Annotated[
        str | None, Query(description="Only those for this purchase order.", examples=["PO-7781"])
    ] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[InvoiceOut]:
    query = service.select_invoices(
        customer_id=customer_id,
        contract_id=contract_id,
        status=status,
        kind=kind,
        month=month,
        number=number,
        contract_number=contract_number,
        purchase_order=purchase_order,
        id_prefix=id_prefix,
    )
    rows, after = await fetch_page(work.session, query, Invoice, limit=limit, cursor=cursor, order=order)
    return Page(data=[InvoiceOut.of(row) for row in rows], next_cursor=after)


@router.get("/upcoming")
async def list_upcoming_invoices(
    work: BillingReader,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    contract_number: Annotated[
        str | None, Query(description="Only of contracts with this number.", examples=["HT-2026-017"])
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[UpcomingInvoiceOut]:
    """List what each contract's month under way comes to by now; nothing that is still to come is in it."""
    if contract_id is not None:
        await contracts.get_contract(work, contract_id)
    query = contracts.select_contracts(customer_id=customer_id, id=contract_id, contract_number=contract_number)
    rows, after = await fetch_page(work.session, query, contracts.Contract, limit=limit, cursor=cursor, order=order)
    shown = [UpcomingInvoiceOut.of(each, work.now) for each in await list_upcoming(work, [row.id for row in rows])]
    return Page(data=shown, next_cursor=after)


@router.get(
    "/{invoice_id}",
    response_model=InvoiceWithLinesOut,
    responses={
        200: {
            "content": {"application/pdf": {}, "text/csv": {}, WORKBOOK: {}},
            "description": "The invoice, as JSON or as a document.",
        }
    },
)
async def get_invoice(
    caller: BillingCaller,
    read_debt: FapiaoDebts,
    language: InLanguage,
    invoice_id: str,
    as_format: Annotated[
        Literal["json", "pdf", "csv", "xlsx"] | None,
        Query(alias="format", description="json, pdf, csv or xlsx; default: what `Accept` names.", examples=["pdf"]),
    ] = None,
    accept: Annotated[str, Header(description="The media type of a format.", examples=["application/pdf"])] = "*/*",
) -> InvoiceWithLinesOut | Response:
    """Get an invoice with its lines, or the document of a final one: PDF with its evidence inside, CSV or XLSX."""
    wanted = as_format or choose_format(accept)
    if wanted == "json":
        async with caller.look() as work:
            invoice = await service.get_invoice(work, invoice_id)
            may_be_given_back = invoice.credited_micros or invoice.kind == InvoiceKind.ADVANCE
            debt = await read_debt(work, invoice.customer_id) if may_be_given_back else None
            return InvoiceWithLinesOut.with_lines(invoice, await service.list_lines(work, invoice.id), debt)
    document_format = DocumentFormat(wanted)
    async with caller.look() as work:
        made_of = await read_document(work, invoice_id, document_format)
    font_dir = caller.services.settings.font_dir
    content = await to_thread(write_document, made_of, document_format, language, font_dir)
    headers = {"Content-Disposition": f'attachment; filename="{made_of.number}.{wanted}"'}
    return Response(content, media_type=MEDIA_TYPES[document_format], headers=headers)


@router.get(
    "/{invoice_id}/evidence",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}, "description": "The evidence, sealed."}},
)
async def get_evidence(
    caller: BillingCaller,
    invoice_id: str,
    accept_encoding: Annotated[
        str, Header(description="With gzip in it, what is long comes compressed.", examples=["gzip"])
    ] = "",
) -> Response:
    """Get the evidence of a final invoice: what `broker invoices verify` works its total out anew from, offline."""
    async with caller.look() as work:
        evidence = await read_evidence(work, invoice_id)
    content, headers = await to_thread(lambda: pack_evidence(write_evidence(evidence), accept_encoding))
    return Response(content, media_type="application/json", headers=headers)


@router.get("/{invoice_id}/breakdown")
async def break_invoice_down(
    caller: BillingCaller,
    invoice_id: str,
    label: Annotated[str, Query(min_length=1, max_length=200, description="By this label.", examples=["team"])],
) -> BreakdownOut:
    """Break a final invoice down by the values of a label; the amounts add up to its total, and no price changes."""
    async with caller.look() as work:
        evidence = await read_evidence(work, invoice_id)
    return await to_thread(BreakdownOut.of, evidence, label)


@router.post("/{invoice_id}/finalize")
async def finalize_invoice(work: FinanceWork, invoice_id: str) -> InvoiceWithLinesOut:
    """Finalize a past month's invoice: it gets its number and never changes again."""
    return await _with_lines(work, await service.finalize_invoice(work, invoice_id))


@router.post("/{invoice_id}/void")
async def make_invoice_void(
    work: FinanceWork, read_debt: FapiaoDebts, invoice_id: str, body: InvoiceVoidIn
) -> InvoiceWithLinesOut:
    """Make a final invoice void, of which nothing was paid or credited: it asks for nothing, and keeps its number.

    A credit note takes back what it asked for usage; an advance is cancelled with its grant. What comes for it later is
    the customer's credit. Again, it changes nothing.
    """
    invoice = await void_invoice(work, invoice_id, body.reason)
    debt = await read_debt(work, invoice.customer_id)
    return InvoiceWithLinesOut.with_lines(invoice, await service.list_lines(work, invoice.id), debt)
