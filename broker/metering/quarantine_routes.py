"""Usage in quarantine: listed with its reasons, and decided upon by finance."""

from typing import Annotated, Literal

from fastapi import Query

from broker.http.edge import FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfContract, OfCustomer, OfJob, Order, Page
from broker.metering.events.evidence import Doubt
from broker.metering.keeping.quarantine import QuarantineFilter, select_quarantined
from broker.metering.schemas import DismissalIn, QuarantinedUsageOut
from broker.metering.tables import QuarantinedUsage
from broker.metering.taking.decisions import dismiss_usage, list_decisions, retry_usage
from broker.work import Work

router = feature_router("/quarantined-usage", "metering")


@router.get("")
async def list_quarantined_usage(
    work: FinanceWork,
    customer_id: OfCustomer = None,
    contract_id: OfContract = None,
    job_id: OfJob = None,
    reason: Annotated[Doubt | None, Query(description="Only for this reason.", examples=["over_budget"])] = None,
    status: Annotated[
        Literal["open", "charged", "dismissed"] | None, Query(description="Only these.", examples=["open"])
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[QuarantinedUsageOut]:
    """List usage that was reported and not believed, or that nothing paid for, the newest first."""
    query = select_quarantined(QuarantineFilter(customer_id, contract_id, job_id, reason), status)
    rows, after = await fetch_page(work.session, query, QuarantinedUsage, limit=limit, cursor=cursor, order=order)
    decisions = await list_decisions(work, [row.id for row in rows])
    return Page(data=[QuarantinedUsageOut.of(row, decisions.get(row.id)) for row in rows], next_cursor=after)


@router.post("/{quarantine_id}/retry")
async def retry_quarantined_usage(work: FinanceWork, quarantine_id: str) -> QuarantinedUsageOut:
    """Judge usage again by what is known now: it is charged where it is believed, and else stays where it is."""
    return await _show(work, await retry_usage(work, quarantine_id))


@router.post("/{quarantine_id}/dismiss")
async def dismiss_quarantined_usage(work: FinanceWork, quarantine_id: str, body: DismissalIn) -> QuarantinedUsageOut:
    """Dismiss usage for good: nobody is charged for it. It stays listed, with the reason."""
    return await _show(work, await dismiss_usage(work, quarantine_id, body.reason))


async def _show(work: Work, row: QuarantinedUsage) -> QuarantinedUsageOut:
    return QuarantinedUsageOut.of(row, (await list_decisions(work, [row.id])).get(row.id))
