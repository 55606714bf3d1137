"""The record of what staff decided, for staff."""

from typing import Annotated, Literal

from fastapi import Query

from broker.audit import service
from broker.audit.schemas import AuditEntryOut
from broker.http.edge import OpsWork, feature_router
from broker.http.shapes import Cursor, Limit, Moment, Page

router = feature_router("/audit", "operations")


@router.get("")
async def list_audit_entries(
    work: OpsWork,
    object_id: Annotated[str | None, Query(description="Only about this object.", examples=["standard"])] = None,
    action: Annotated[str | None, Query(description="Only this operation.", examples=["change_queue"])] = None,
    actor_id: Annotated[str | None, Query(description="Only by this API key.", examples=["key_01k"])] = None,
    actor_role: Annotated[
        Literal["finance", "ops", "admin", "system"] | None,
        Query(description="Only by people of this role, or by the broker itself.", examples=["finance"]),
    ] = None,
    customer_id: Annotated[
        str | None, Query(description="Only what concerns this customer.", examples=["cus_01k"])
    ] = None,
    text: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="Only with this in what was sent or changed, or in the name of the action or object.",
            examples=["launch promotion"],
        ),
    ] = None,
    since: Annotated[Moment | None, Query(description="Only from then on.", examples=["2026-11-24T00:00:00Z"])] = None,
    until: Annotated[Moment | None, Query(description="Only before then.", examples=["2026-11-25T00:00:00Z"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[AuditEntryOut]:
    """List what staff decided, and what of customers' files it looked at, the newest first."""
    wanted = service.AuditFilter(action, object_id, actor_id, actor_role, customer_id, since, until, text)
    rows, after = await service.read_page(work, wanted, limit=limit, cursor=cursor)
    return Page(data=[AuditEntryOut.model_validate(row) for row in rows], next_cursor=after)


@router.get("/{entry_id}")
async def get_audit_entry(work: OpsWork, entry_id: str) -> AuditEntryOut:
    """Get a decision."""
    return AuditEntryOut.model_validate(await service.get_entry(work, entry_id))
