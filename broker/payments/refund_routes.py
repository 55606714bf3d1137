"""Refunds: money that goes back, by a way that is named, and how far it is."""

from typing import Annotated

from fastapi import Query

from broker.http.edge import FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfContract, OfCustomer, Order, Page
from broker.payments import refunds
from broker.payments.model import RefundStatus
from broker.payments.refund_schemas import FailedIn, MoneyRefundOut, RefundIn, SentIn
from broker.payments.tables import Refund

router = feature_router("/refunds", "billing")


@router.post("", status_code=201)
async def request_refund(work: FinanceWork, body: RefundIn) -> MoneyRefundOut:
    """Ask for a customer's credit, or what is owed back for refunded units, to be paid back."""
    return MoneyRefundOut.of(await refunds.request_refund(work, body.read_refund()))


@router.get("")
async def list_refunds(
    work: FinanceWork,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    payment_id: Annotated[str | None, Query(description="Only of this payment.", examples=["pay_01k"])] = None,
    status: Annotated[RefundStatus | None, Query(description="Only these.", examples=["requested"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[MoneyRefundOut]:
    """List refunds, newest first."""
    wanted = {"customer_id": customer_id, "contract_id": contract_id, "payment_id": payment_id, "status": status}
    rows, after = await fetch_page(
        work.session, refunds.select_refunds(**wanted), Refund, limit=limit, cursor=cursor, order=order
    )
    return Page(data=[MoneyRefundOut.of(row) for row in rows], next_cursor=after)


@router.get("/{refund_id}")
async def get_refund(work: FinanceWork, refund_id: str) -> MoneyRefundOut:
    return MoneyRefundOut.of(await refunds.get_refund(work, refund_id))


@router.post("/{refund_id}/send")
async def send_refund(work: FinanceWork, refund_id: str, body: SentIn) -> MoneyRefundOut:
    """Tell that a refund was sent, under which reference of the bank."""
    await refunds.require_by_hand(work, refund_id)
    return MoneyRefundOut.of(await refunds.mark_sent(work, refund_id, body.bank_reference))


@router.post("/{refund_id}/confirm")
async def confirm_refund(work: FinanceWork, refund_id: str) -> MoneyRefundOut:
    """Tell that a refund arrived."""
    await refunds.require_by_hand(work, refund_id)
    return MoneyRefundOut.of(await refunds.confirm_refund(work, refund_id))


@router.post("/{refund_id}/fail")
async def fail_refund(work: FinanceWork, refund_id: str, body: FailedIn) -> MoneyRefundOut:
    """Tell that a refund was not sent, or came back, by which payment: its money is what it was before.

    Of one that failed already, only the payment is told, where the statement with it came later.
    """
    await refunds.require_by_hand(work, refund_id)
    return MoneyRefundOut.of(await refunds.fail_refund(work, refund_id, body.reason, body.read_return()))
