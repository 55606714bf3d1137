"""Purchases: hours and tokens ordered under a contract."""

from typing import Annotated

from fastapi import Query

from broker.http.edge import BillingReader, feature_router
from broker.http.shapes import PAYMENT_RESPONSES, Cursor, IdPrefix, Limit, OfContract, OfCustomer, Page
from broker.identity.verification import require_verified
from broker.signing import purchases
from broker.signing.purchase_schemas import PurchaseIn, PurchaseOut
from broker.signing.purchases import PurchaseStatus

router = feature_router("/purchases", "contracts")


@router.post("", status_code=201, responses=PAYMENT_RESPONSES)
async def create_purchase(work: BillingReader, body: PurchaseIn) -> PurchaseOut:
    """Order hours or tokens at the contract's price; they can be used once the order's invoice is paid."""
    await require_verified(work)
    return PurchaseOut.of(await purchases.create_purchase(work, body.read_purchase()))


@router.get("")
async def list_purchases(
    work: BillingReader,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    status: Annotated[
        PurchaseStatus | None,
        Query(description="Only in this state; those not paid in time are expired.", examples=["open"]),
    ] = None,
    id_prefix: IdPrefix = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[PurchaseOut]:
    """List orders, newest first."""
    views, after = await purchases.fetch_purchases(
        work,
        limit=limit,
        cursor=cursor,
        status=status,
        customer_id=customer_id,
        contract_id=contract_id,
        id_prefix=id_prefix,
    )
    return Page(data=[PurchaseOut.of(view) for view in views], next_cursor=after)


@router.get("/{purchase_id}")
async def get_purchase(work: BillingReader, purchase_id: str) -> PurchaseOut:
    return PurchaseOut.of(await purchases.get_purchase(work, purchase_id))


@router.post("/{purchase_id}/cancel")
async def cancel_purchase(work: BillingReader, purchase_id: str) -> PurchaseOut:
    """Cancel an order that is not paid, and its invoice with it; what is paid later stays the customer's credit."""
    return PurchaseOut.of(await purchases.cancel_purchase(work, purchase_id))
