"""The record of what staff decided: searched by who, what and when; a decision is taken back here."""

from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.audit import service as audit
from broker.audit.service import AuditFilter
from broker.console.frame.days import DayAsked
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.page import OpsPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.frame.problem import Problem
from broker.console.naming import name_objects
from broker.console.ops.audit_view import list_decisions
from broker.console.ops.reading import open_work
from broker.identity import service as identity

router = page_router("/ops")
PAGE_ROWS = 30
COLUMNS = (
    Column(N_("When")),
    Column(N_("Who")),
    Column(N_("What")),
    Column(N_("On what")),
    Column(N_("Changed")),
    Column(N_("Reason")),
    Column(""),
)
Text = Annotated[str | None, Query(max_length=200)]


@router.get("/audit")
async def show_audit(
    page: OpsPage,
    actor_id: Text = None,
    action: Text = None,
    object_id: Text = None,
    customer_id: Text = None,
    text: Text = None,
    since: DayAsked = None,
    until: DayAsked = None,
    cursor: Text = None,
) -> HTMLResponse:
    """Show the record, narrowed to what the URL says."""
    zone = ZoneInfo(page.caller.services.settings.time_zone)
    begin, end = _begin(since, zone), None if until is None else _begin(until + timedelta(days=1), zone)
    wanted = AuditFilter(action, object_id, actor_id, None, customer_id, begin, end, text)
    return await _show(page, wanted, cursor, (since, until))


def _begin(day: date | None, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone)


@router.post("/audit/{entry_id}/undo")
async def undo(page: OpsPage, entry_id: str) -> Response:
    """Take a decision back; what was changed since is told instead."""
    form = await page.read_form()
    answer = await page.ask("POST", f"/v1/audit/{entry_id}/undo", key=form.key)
    if answer.problem is not None:
        return await _show(page, AuditFilter(), None, (None, None), problem=answer.problem)
    return page.go_to("/console/ops/audit")


async def _show(
    page: Page,
    wanted: AuditFilter,
    cursor: str | None,
    days: tuple[date | None, date | None],
    *,
    problem: Problem | None = None,
) -> HTMLResponse:
    work = await open_work(page)
    entries, after = await audit.read_page(work, wanted, limit=PAGE_ROWS, cursor=cursor)
    total = await audit.count_entries(work, wanted)
    undone = await audit.list_undone(work, [entry.id for entry in entries])
    names = await identity.list_key_names(work, {entry.actor_id for entry in entries})
    objects = await name_objects(work, {entry.object_id for entry in entries if entry.object_id is not None})
    rows = list_decisions(entries, undone, names, objects)
    is_filtered = wanted != AuditFilter() or cursor is not None
    return page.show(
        "ops/audit.html",
        status=200 if problem is None else problem.status,
        entries=Panel.of(rows, page.now, shown=len(rows), is_filtered=is_filtered),
        columns=COLUMNS,
        listing=Listing(len(rows), total, after, cursor),
        wanted=wanted,
        since=days[0],
        until=days[1],
        problem=problem,
    )
