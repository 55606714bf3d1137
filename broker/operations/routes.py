"""What ops sees at one moment, announces, and takes back; and how a contract stands among others."""

from typing import Annotated

from fastapi import Depends, Request

from broker.capacity import announcements
from broker.capacity.notice_schemas import AnnouncementIn, NoticeOut
from broker.contracts import service as contracts
from broker.http.edge import AnyKey, OpsWork, feature_router
from broker.http.paging import cut_page
from broker.http.shapes import Limit, NameCursor, Page
from broker.operations.announcing import announce
from broker.operations.applying import apply_simulation
from broker.operations.overview import OverviewReading
from broker.operations.schemas import AppliedOut, ApplyIn, OverviewOut, StandingOut, UndoneOut
from broker.operations.undoing import undo_decision
from broker.operations.views import show_overview, show_standing

router = feature_router("", "operations")


async def _get_reading(request: Request) -> OverviewReading:
    reading: OverviewReading = request.app.state.overview
    return reading


Reading = Annotated[OverviewReading, Depends(_get_reading)]


@router.get("/operations/overview")
async def get_overview(work: OpsWork, reading: Reading) -> OverviewOut:  # noqa: ARG001 (whoever may)
    """Get queues, pools, why jobs wait and how contracts stand: all of it in one request, of the last half second."""
    return show_overview(await reading.read())


@router.get("/contracts/{contract_id}/standing")
async def get_contract_standing(work: AnyKey, reading: Reading, contract_id: str) -> StandingOut:
    """Get how a contract stands among others, by GPU type: what it is due, holds, borrows and lends, and why it waits.

    No other customer is named.
    """
    await contracts.get_contract(work, contract_id)
    return show_standing(await reading.read(), contract_id)


@router.get("/announcements")
async def list_announcements(work: AnyKey, limit: Limit = 100, cursor: NameCursor = None) -> Page[NoticeOut]:
    """List what customers should know and is not over, the earliest first: of ops, and when pools are worked on."""
    notices = await announcements.list_notices(work)
    page, after = cut_page(notices, lambda notice: notice.id, limit=limit, cursor=cursor)
    return Page(data=[NoticeOut.model_validate(notice) for notice in page], next_cursor=after)


@router.post("/announcements", status_code=201)
async def create_announcement(work: OpsWork, body: AnnouncementIn) -> NoticeOut:
    """Announce something to customers: listed until it ends, on jobs' pages, and an event of jobs on its pool."""
    return NoticeOut.model_validate(await announce(work, body.read_new()))


@router.delete("/announcements/{announcement_id}")
async def end_announcement(work: OpsWork, announcement_id: str) -> NoticeOut:
    """End an announcement: it is listed no longer."""
    return NoticeOut.model_validate(await announcements.end_announcement(work, announcement_id))


@router.post("/audit/{entry_id}/undo")
async def undo_audit_entry(work: OpsWork, entry_id: str) -> UndoneOut:
    """Put back what a decision changed of queues, pools, contracts' quotas or jobs' priorities, from the next cycle on.

    Refused where it was changed since, or is undone already. It is a decision of its own, and can be undone.
    """
    return UndoneOut.of(await undo_decision(work, entry_id))


@router.post("/queues/simulations/{simulation_id}/apply")
async def apply_queue_simulation(work: OpsWork, simulation_id: str, body: ApplyIn) -> AppliedOut:
    """Apply what a simulation proposed, with a reason: all of it, or nothing; it is undone as one decision.

    Refused where a setting was changed since it was asked for, or its window ended more than 30 minutes ago. What no
    setting is (a pool's machines, a contract's guarantee) is named with where it is decided.
    """
    return AppliedOut.of(await apply_simulation(work, simulation_id, body.reason))
