"""Manual adjustments."""

from typing import Annotated

from fastapi import Query

from broker.billing import adjustments
from broker.billing.adjustment_schemas import AdjustmentIn, AdjustmentOut
from broker.billing.adjustments import AdjustmentKind, CreditAdjustment, GrantAdjustment
from broker.billing.tables import Adjustment
from broker.http.edge import BillingReader, FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfContract, OfCustomer, Order, Page

router = feature_router("/adjustments", "billing")


@router.post("", status_code=201)
async def adjust(work: FinanceWork, body: AdjustmentIn) -> AdjustmentOut:
    """Adjust the units of a grant or a customer's credit by hand, or give up an invoice; it is never changed after."""
    new = body.read_adjustment()
    if isinstance(new, GrantAdjustment):
        row = await adjustments.adjust_grant(work, new)
    elif isinstance(new, CreditAdjustment):
        row = await adjustments.adjust_credit(work, new)
    else:
        row = await adjustments.write_off(work, new)
    return AdjustmentOut.of(row)


@router.get("")
async def list_adjustments(
    work: BillingReader,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    kind: Annotated[AdjustmentKind | None, Query(description="Only of this kind.", examples=["grant"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[AdjustmentOut]:
    query = adjustments.select_adjustments(customer_id=customer_id, contract_id=contract_id, kind=kind)
    rows, after = await fetch_page(work.session, query, Adjustment, limit=limit, cursor=cursor, order=order)
    return Page(data=[AdjustmentOut.of(row) for row in rows], next_cursor=after)


@router.get("/{adjustment_id}")
async def get_adjustment(work: BillingReader, adjustment_id: str) -> AdjustmentOut:
    return AdjustmentOut.of(await adjustments.get_adjustment(work, adjustment_id))
