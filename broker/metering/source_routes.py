"""Sources of usage from outside, registered by staff."""

from broker.http.edge import OpsWork, StaffWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, OfCustomer, Page
from broker.metering.outside import sources
from broker.metering.source_schemas import UsageSourceIn, UsageSourceOut, UsageSourcePatch
from broker.metering.tables import UsageSource

router = feature_router("/usage-sources", "metering")


@router.post("", status_code=201)
async def register_usage_source(work: OpsWork, body: UsageSourceIn) -> UsageSourceOut:
    """Register a source: from then on its events are taken. A key of role `meter` is made to send them."""
    row = await sources.register_source(work, source=body.source, name=body.name, customer_id=body.customer_id)
    return UsageSourceOut.model_validate(row)


@router.get("")
async def list_usage_sources(
    work: StaffWork, customer_id: OfCustomer = None, limit: Limit = 20, cursor: Cursor = None
) -> Page[UsageSourceOut]:
    """List the sources that usage may come from, the newest first."""
    query = sources.select_sources(customer_id=customer_id)
    rows, after = await fetch_page(work.session, query, UsageSource, limit=limit, cursor=cursor)
    return Page(data=[UsageSourceOut.model_validate(row) for row in rows], next_cursor=after)


@router.patch("/{source_id}")
async def change_usage_source(work: OpsWork, source_id: str, body: UsageSourcePatch) -> UsageSourceOut:
    """Open or close a source; nothing is taken from a closed one, and what it has sent stays charged."""
    return UsageSourceOut.model_validate(await sources.change_source(work, source_id, is_open=body.open))
