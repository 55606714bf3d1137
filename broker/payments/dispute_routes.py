"""Disputes of lines and chargebacks: opened, answered, won, lost, withdrawn; lost, the books follow."""

from typing import Annotated

from fastapi import Query

from broker.billing import disputes
from broker.billing.dispute_model import DisputeKind, DisputeStatus
from broker.billing.dispute_schemas import AnswerIn, DisputeIn, DisputeOut
from broker.http.edge import BillingReader, BillingWork, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfCustomer, Order, Page
from broker.payments.chargeback_schemas import LostIn
from broker.payments.chargebacks import lose_dispute as lose

router = feature_router("/disputes", "billing")


@router.post("", status_code=201)
async def open_dispute(work: BillingWork, body: DisputeIn) -> DisputeOut:
    """Dispute a line of a final invoice: while that stands, so much of it is not overdue."""
    return DisputeOut.of(await disputes.open_dispute(work, body.read_dispute()))


@router.get("")
async def list_disputes(
    work: BillingReader,
    customer_id: OfCustomer = None,
    invoice_id: Annotated[str | None, Query(description="Only of this invoice.", examples=["inv_01k"])] = None,
    kind: Annotated[DisputeKind | None, Query(description="Only these.", examples=["line"])] = None,
    status: Annotated[DisputeStatus | None, Query(description="Only these.", examples=["opened"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[DisputeOut]:
    """List disputes, newest first."""
    wanted = {"customer_id": customer_id, "invoice_id": invoice_id, "kind": kind, "status": status}
    query = disputes.select_disputes(**wanted)
    rows, after = await fetch_page(work.session, query, disputes.Dispute, limit=limit, cursor=cursor, order=order)
    return Page(data=[DisputeOut.of(row) for row in rows], next_cursor=after)


@router.get("/{dispute_id}")
async def get_dispute(work: BillingReader, dispute_id: str) -> DisputeOut:
    return DisputeOut.of(await disputes.get_dispute(work, dispute_id))


@router.post("/{dispute_id}/answer")
async def answer_dispute(work: FinanceWork, dispute_id: str, body: AnswerIn) -> DisputeOut:
    """Answer what is disputed; it stands until it is won, lost or withdrawn."""
    return DisputeOut.of(await disputes.answer_dispute(work, dispute_id, body.answer))


@router.post("/{dispute_id}/withdraw")
async def withdraw_dispute(work: BillingWork, dispute_id: str) -> DisputeOut:
    """Withdraw a dispute: what it is about is owed as before."""
    return DisputeOut.of(await disputes.withdraw_dispute(work, dispute_id))


@router.post("/{dispute_id}/win")
async def win_dispute(work: FinanceWork, dispute_id: str) -> DisputeOut:
    """End a dispute for the house: what it is about stands."""
    return DisputeOut.of(await disputes.win_dispute(work, dispute_id))


@router.post("/{dispute_id}/lose")
async def lose_dispute(work: FinanceWork, dispute_id: str, body: LostIn | None = None) -> DisputeOut:
    """End a dispute against the house: a credit note, a debt given up, or a payment that is due again."""
    return DisputeOut.of(await lose(work, dispute_id, None if body is None else body.remedy))
