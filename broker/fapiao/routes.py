"""Fapiao (发票)."""

from typing import Annotated

from fastapi import File, Form, Query, Response, UploadFile

from broker.fapiao import service
from broker.fapiao.debts import list_debts
from broker.fapiao.model import FapiaoKind, FapiaoStatus
from broker.fapiao.schemas import FapiaoDebtOut, FapiaoDebtsOut, FapiaoIn, FapiaoOut, InvoiceableOut, IssueIn, RedIn
from broker.fapiao.service import FileFormat
from broker.fapiao.tables import Fapiao
from broker.http.edge import BillingReader, BillingWork, FinanceCaller, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfCustomer, Order, Page
from broker.identity.service import get_customer, resolve_customer

router = feature_router("/fapiao", "billing")
MEDIA_TYPES = {FileFormat.PDF: "application/pdf", FileFormat.OFD: "application/ofd", FileFormat.XML: "application/xml"}


@router.post("", status_code=201)
async def request_fapiao(work: BillingWork, body: FapiaoIn) -> FapiaoOut:
    """Request a fapiao of what was consumed; finance issues it."""
    customer_id = resolve_customer(work, body.customer_id)
    return FapiaoOut.of(await service.request_fapiao(work, body.read_request(customer_id)))


@router.get("")
async def list_fapiao(
    work: BillingReader,
    customer_id: OfCustomer = None,
    status: Annotated[FapiaoStatus | None, Query(description="Only these.", examples=["requested"])] = None,
    kind: Annotated[FapiaoKind | None, Query(description="Only these.", examples=["special"])] = None,
    number: Annotated[
        str | None, Query(description="The one with this number.", examples=["25330000000012345678"])
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[FapiaoOut]:
    query = service.select_fapiao(customer_id=customer_id, status=status, kind=kind, number=number)
    rows, after = await fetch_page(work.session, query, Fapiao, limit=limit, cursor=cursor, order=order)
    return Page(data=[FapiaoOut.of(row) for row in rows], next_cursor=after)


@router.get("/invoiceable")
async def get_invoiceable(work: BillingReader, customer_id: OfCustomer = None) -> InvoiceableOut:
    """Get how much a customer can ask for (可开票金额), and what it owes back (欠票)."""
    resolved = resolve_customer(work, customer_id)
    await get_customer(work, resolved)
    return InvoiceableOut.of(resolved, await service.read_invoiceable(work, resolved))


@router.get("/debts")
async def list_fapiao_debts(work: FinanceWork) -> FapiaoDebtsOut:
    """List the customers whose fapiao say more than they consumed: something was credited since, and needs red ones."""
    return FapiaoDebtsOut(data=[FapiaoDebtOut.of(debt) for debt in await list_debts(work)])


@router.get("/{fapiao_id}")
async def get_fapiao(work: BillingReader, fapiao_id: str) -> FapiaoOut:
    return FapiaoOut.of(await service.get_fapiao(work, fapiao_id))


@router.post("/{fapiao_id}/issue")
async def issue_fapiao(work: FinanceWork, fapiao_id: str, body: IssueIn) -> FapiaoOut:
    """Tell the number under which a requested fapiao was issued."""
    return FapiaoOut.of(await service.issue_fapiao(work, fapiao_id, body.number, body.issued_on))


@router.post("/{fapiao_id}/cancel")
async def cancel_fapiao(work: BillingWork, fapiao_id: str) -> FapiaoOut:
    """Cancel a request that was not issued."""
    return FapiaoOut.of(await service.cancel_fapiao(work, fapiao_id))


@router.post("/{fapiao_id}/red", status_code=201)
async def take_fapiao_back(work: FinanceWork, fapiao_id: str, body: RedIn) -> FapiaoOut:
    """Tell of a red fapiao (红字), which takes back a part of an issued one or all; it is the answer."""
    return FapiaoOut.of(await service.take_back(work, fapiao_id, body.read_red()))


@router.post("/{fapiao_id}/files", status_code=201)
async def upload_fapiao_file(
    caller: FinanceCaller,
    fapiao_id: str,
    file: Annotated[UploadFile, File(description="The file, as the tax bureau gives it.", examples=["25330000.pdf"])],
    as_format: Annotated[FileFormat, Form(alias="format", description="pdf, ofd or xml.", examples=["pdf"])],
) -> FapiaoOut:
    """Upload the file of an issued fapiao, one of each format."""
    content = await file.read(service.MOST_BYTES + 1)
    return FapiaoOut.of(await service.add_file(await caller.begin(), fapiao_id, as_format, content))


@router.get(
    "/{fapiao_id}/file",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}, "application/ofd": {}, "application/xml": {}}}},
)
async def get_fapiao_file(
    work: BillingReader,
    fapiao_id: str,
    as_format: Annotated[FileFormat, Query(alias="format", description="pdf, ofd or xml.", examples=["pdf"])] = (
        FileFormat.PDF
    ),
) -> Response:
    """Download a file of an issued fapiao."""
    row, file = await service.get_file(work, fapiao_id, as_format)
    headers = {"Content-Disposition": f'attachment; filename="{row.number}.{as_format.value}"'}
    return Response(file.content, media_type=MEDIA_TYPES[as_format], headers=headers)
