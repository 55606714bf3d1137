"""Payments: statements are imported, what matched nothing is claimed, taken back, or returned to its payer.

A customer lists its own; what finance makes of a payment (what else it would fit, and why) stays with the house.
"""

from typing import Annotated

from fastapi import File, Form, Query, UploadFile

from broker.billing.dispute_schemas import DisputeOut
from broker.http.edge import BillingReader, FinanceCaller, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, IdPrefix, Limit, OfCustomer, Order, Page
from broker.payments import chargebacks, claiming, refunds, service
from broker.payments.allocating import list_allocations
from broker.payments.bank.statement import MOST_BYTES, read_statement
from broker.payments.chargeback_schemas import ChargebackIn
from broker.payments.importing import import_lines
from broker.payments.model import PaymentSource, PaymentStatus
from broker.payments.refund_schemas import MoneyRefundOut
from broker.payments.schemas import (
    ClaimsIn,
    ImportOut,
    PaymentDetailOut,
    PaymentOut,
    ReturnIn,
    StatementIn,
    UnclaimIn,
)
from broker.payments.tables import Payment
from broker.work import Work

router = feature_router("/payments", "billing")


async def _in_detail(work: Work, row: Payment) -> PaymentDetailOut:
    allocations = await list_allocations(work, [row.id])
    return PaymentDetailOut.with_allocations(row, allocations, to_payer=not _is_house(work))


@router.post("", status_code=201)
async def import_payments(work: FinanceWork, body: StatementIn) -> ImportOut:
    """Import lines of a bank statement: each is kept once, booked, and pays what it matches; each has its answer."""
    return ImportOut.of(await import_lines(work, body.read_lines()))


@router.post("/statements", status_code=201)
async def import_statement(
    caller: FinanceCaller,
    file: Annotated[UploadFile, File(description="The statement, as the bank exports it: CSV.", examples=["nov.csv"])],
    layout: Annotated[
        str | None, Form(description="icbc, cmb, ccb or signed; default: recognised.", examples=["icbc"])
    ] = None,
    account: Annotated[
        str | None, Form(max_length=60, description="Our account, where the file does not say it.", examples=["1102"])
    ] = None,
) -> ImportOut:
    """Import a bank statement as a file, in UTF-8 or GBK; its layout is recognised or named."""
    statement = read_statement(await file.read(MOST_BYTES + 1), layout)
    work = await caller.begin()
    return ImportOut.of(await import_lines(work, statement.lines, account=account, layout=statement.layout.name))


@router.get("")
async def list_payments(
    work: BillingReader,
    customer_id: OfCustomer = None,
    status: Annotated[PaymentStatus | None, Query(description="Only these.", examples=["unmatched"])] = None,
    source: Annotated[PaymentSource | None, Query(description="Only these.", examples=["bank_transfer"])] = None,
    serial: Annotated[str | None, Query(description="Those with this serial number.", examples=["C1"])] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[PaymentOut]:
    """List payments, newest first; customers see those that are known to be theirs."""
    wanted = {"customer_id": customer_id, "source": source, "serial": serial, "id_prefix": id_prefix}
    query = service.select_payments(status=status, **wanted)
    rows, after = await fetch_page(work.session, query, Payment, limit=limit, cursor=cursor, order=order)
    return Page(data=[PaymentOut.of(row, to_payer=not _is_house(work)) for row in rows], next_cursor=after)


def _is_house(work: Work) -> bool:
    return work.confined_to is None


@router.get("/unmatched")
async def list_unmatched(work: FinanceWork, limit: Limit = 20, cursor: Cursor = None) -> Page[PaymentOut]:
    """List payments of which something has found no place yet: finance claims them, or sends them back."""
    rows, after = await fetch_page(work.session, service.select_unmatched(), Payment, limit=limit, cursor=cursor)
    return Page(data=[PaymentOut.of(row) for row in rows], next_cursor=after)


@router.get("/{payment_id}")
async def get_payment(work: BillingReader, payment_id: str) -> PaymentDetailOut:
    return await _in_detail(work, await service.get_payment(work, payment_id))


@router.post("/{payment_id}/claim")
async def claim_payment(work: FinanceWork, payment_id: str, body: ClaimsIn | None = None) -> PaymentDetailOut:
    """Say what an unmatched payment is for: invoices, or the credit of a contract; or have it matched again."""
    claims = [] if body is None else [each.read_claim() for each in body.allocations]
    return await _in_detail(work, await claiming.claim_payment(work, payment_id, claims))


@router.post("/{payment_id}/unclaim")
async def unclaim_payment(work: FinanceWork, payment_id: str, body: UnclaimIn) -> PaymentDetailOut:
    """Take back what a payment was allocated to: it is unmatched again, and its invoices are owed again."""
    row = await claiming.unclaim_payment(work, payment_id, body.reason, body.allocation_ids)
    return await _in_detail(work, row)


@router.post("/{payment_id}/return", status_code=201)
async def return_payment(work: FinanceWork, payment_id: str, body: ReturnIn) -> MoneyRefundOut:
    """Send back to its payer what is unmatched of a payment; the refund is the answer."""
    return MoneyRefundOut.of(await refunds.return_payment(work, payment_id, body.read_return()))


@router.post("/{payment_id}/chargeback", status_code=201)
async def open_chargeback(work: FinanceWork, payment_id: str, body: ChargebackIn) -> DisputeOut:
    """Tell that the payer's bank takes a payment back; the dispute is the answer."""
    return DisputeOut.of(await chargebacks.open_chargeback(work, body.read_chargeback(payment_id)))
