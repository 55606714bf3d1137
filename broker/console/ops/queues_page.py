"""The queues and the line before them, in the planner's order: what waits and why, and priorities that ops gives."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker import errors
from broker.capacity import service as capacity
from broker.capacity.schemas import QueuePatch
from broker.console.frame.forms import Form, Submitted, read_whole
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.page import OpsPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.frame.problem import Problem
from broker.console.naming import name_queues
from broker.console.ops.foreseen import foresee
from broker.console.ops.outcome import Outcome, tell_outcome
from broker.console.ops.queues_view import count_waiting, list_queue_rows, list_reasons, list_waiting_rows
from broker.console.ops.reading import open_work, read_overview
from broker.http.versions import make_etag
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.jobs.reading.waiting_page import LineFilter, read_line_page
from broker.operations.overview import LONG_LINE, Overview
from broker.scheduling.schemas import TunedQueueOut
from broker.scheduling.tuning import tune_queue
from broker.work import Work

router = page_router("/ops")
PAGE_ROWS = 30
PATH = "/console/ops/queues"
LINE_COLUMNS = (
    Column(""),
    Column(N_("Place"), is_number=True),
    Column(N_("Job")),
    Column(N_("Customer")),
    Column(N_("Queue")),
    Column(N_("Priority"), is_number=True),
    Column(N_("GPUs"), is_number=True),
    Column(N_("Has waited"), is_number=True),
    Column(N_("Expected start"), is_number=True),
    Column(N_("Why")),
)
QUEUE_COLUMNS = (
    Column(N_("Queue")),
    Column(N_("State")),
    Column(N_("Priority"), is_number=True),
    Column(N_("Weight"), is_number=True),
    Column(N_("Waiting jobs"), is_number=True),
    Column(N_("GPU-hours"), is_number=True),
    Column(N_("Oldest wait"), is_number=True),
    Column(N_("Running"), is_number=True),
    Column(N_("GPUs held"), is_number=True),
    Column(N_("Limits")),
)
LIMITS = ("max_wait_seconds", "max_jobs", "max_gpus", "max_gpu_hours", "window_hours", "lending_limit")
Text = Annotated[str | None, Query(max_length=200)]
Place = Annotated[int | None, Query(ge=0, le=10_000_000)]


@router.get("/queues")
async def show_queues(
    page: OpsPage,
    queue: Text = None,
    reason: Text = None,
    customer_id: Text = None,
    sku: Text = None,
    cursor: Place = None,
) -> HTMLResponse:
    """Show the queues in the planner's order, and a page of the line."""
    return await _show(page, LineFilter(queue, reason, customer_id, None, sku), cursor or 0)


async def _show(
    page: Page, wanted: LineFilter, offset: int, *, outcome: Outcome | None = None, form: Form | None = None
) -> HTMLResponse:
    seen = await read_overview(page)
    line, listing = await _read_line(page, wanted, offset, seen)
    rows = list_queue_rows(seen)
    queue_names = await name_queues(await open_work(page), {row.queue.name for row in rows})
    return page.show(
        "ops/queues.html",
        status=200 if form is None or form.problem is None else form.problem.status,
        queues=Panel.of(rows, seen.facts.now, shown=len(rows), is_filtered=False),
        queue_columns=QUEUE_COLUMNS,
        line=line,
        listing=listing,
        line_columns=LINE_COLUMNS,
        wanted=wanted,
        reasons=list_reasons(seen, wanted.queue),
        names=[(row.queue.name, queue_names.get(row.queue.name, row.queue.name)) for row in rows],
        queue_names=queue_names,
        skus=[(sku, sku) for sku in sorted(seen.facts.capacity)],
        form=form or Form(),
        outcome=outcome,
    )


async def _read_line(page: Page, wanted: LineFilter, offset: int, seen: Overview) -> tuple[Panel[Any], Listing]:
    work = await open_work(page)
    total = count_waiting(seen, wanted) if seen.waiting_jobs >= LONG_LINE else None
    found = await read_line_page(work, wanted, limit=PAGE_ROWS, offset=offset, total=total)
    queues = {queue.name: queue for queue in await capacity.list_queues(work)}
    names = await identity.list_names(work, {row.customer_id for row in found.rows})
    rows = list_waiting_rows(found.rows, queues, names, page.preferences.language)
    is_filtered = wanted != LineFilter() or offset > 0
    after = offset + len(rows)
    listing = Listing(
        len(rows), found.total, str(after) if after < found.total else None, str(offset) if offset else None
    )
    return Panel.of(rows, page.now, shown=len(rows), is_filtered=is_filtered), listing


@router.post("/queues/priorities/confirm")
async def confirm_priorities(page: OpsPage) -> Response:
    """Ask once more, naming how many jobs and which, before their priority is changed."""
    form = await page.read_form()
    job_ids = list(dict.fromkeys(form.lists.get("job_ids", [])))
    if not job_ids:
        raise errors.invalid_field("job_ids", "choose the jobs first: tick them in the line")
    work = await open_work(page)
    found = sorted(await jobs.load_jobs(work, job_ids), key=lambda job: job_ids.index(job.id))
    names = await identity.list_names(work, {job.customer_id for job in found})
    return page.show(
        "ops/priorities.html",
        jobs=found,
        names=names,
        queue_names=await name_queues(work, {job.queue for job in found}),
        form=Form(form.values),
        job_ids=job_ids,
    )


@router.post("/queues/priorities")
async def change_priorities(page: OpsPage) -> Response:
    """Put the chosen jobs at one priority, with a reason."""
    form = await page.read_form()
    job_ids = form.lists.get("job_ids", [])
    body = {
        "job_ids": job_ids,
        "priority": read_number(form.get("priority")),
        "reason": form.get("reason"),
    }
    answer = await page.ask("POST", "/v1/jobs/priorities", body, key=form.key)
    if answer.problem is None:
        return await _show(page, LineFilter(), 0, outcome=await tell_outcome(page, answer.body, None))
    work = await open_work(page)
    found = sorted(await jobs.load_jobs(work, job_ids), key=lambda job: job_ids.index(job.id))
    names = await identity.list_names(work, {job.customer_id for job in found})
    refused = form.refused(answer.problem)
    return page.show(
        "ops/priorities.html",
        status=answer.status,
        jobs=found,
        names=names,
        queue_names=await name_queues(work, {job.queue for job in found}),
        form=refused,
        job_ids=job_ids,
    )


@router.get("/queues/{name:path}")
async def show_queue(page: OpsPage, name: str, cursor: Place = None) -> HTMLResponse:
    """Show a queue: its settings as a form, and who waits in it."""
    return await _show_queue(page, name, cursor or 0)


@router.post("/queues/{name:path}")
async def change_queue(page: OpsPage, name: str) -> Response:
    """Change the settings of a queue, with a reason; whom a limit strands is named."""
    form = await page.read_form()
    changes: dict[str, Any] = {field: read_number(form.get(field)) for field in ("priority", "weight", *LIMITS)}
    changes = {field: value for field, value in changes.items() if field in LIMITS or value is not None}
    pools = [each.strip() for each in form.get("allowed_pools").split(",") if each.strip()]
    changes |= {"state": form.get("state"), "allowed_pools": pools or None, "reason": form.get("reason")}
    if form.get("foresee"):
        return await _foresee_queue(page, name, form, changes)
    answer = await page.ask("PATCH", f"/v1/queues/{quote(name, safe='')}", changes, key=form.key, seen=form.seen)
    if answer.problem is not None:
        return await _show_queue(page, name, 0, form=form.refused(answer.problem))
    return await _show_queue(page, name, 0, outcome=await tell_outcome(page, answer.body, name))


async def _foresee_queue(page: Page, name: str, form: Submitted, changes: dict[str, Any]) -> Response:
    """Show what a change would bring, with the form as it was filled in."""

    async def make(work: Work, body: QueuePatch) -> TunedQueueOut:
        return TunedQueueOut.of_tuned(*await tune_queue(work, name, body.list_changes()))

    told = await foresee(page, QueuePatch, changes | {"reason": changes["reason"] or "foreseen"}, make)
    if isinstance(told, Problem):
        return await _show_queue(page, name, 0, form=form.refused(told))
    return await _show_queue(page, name, 0, form=Form(form.values), foreseen=told)


def read_number(text: str) -> int | str | None:
    """Read a number as it was typed; empty: none. What is no number the API refuses at its field."""
    return read_whole(text) if text else None


async def _show_queue(
    page: Page,
    name: str,
    offset: int,
    *,
    form: Form | None = None,
    outcome: Outcome | None = None,
    foreseen: Outcome | None = None,
) -> HTMLResponse:
    seen = await read_overview(page)
    queue = await capacity.get_queue(await open_work(page), name)
    line, listing = await _read_line(page, LineFilter(queue=name), offset, seen)
    row = next((each for each in list_queue_rows(seen) if each.queue.name == name), None)
    return page.show(
        "ops/queue.html",
        queue_names=await name_queues(await open_work(page), {name}),
        status=200 if form is None or form.problem is None else form.problem.status,
        queue=queue,
        seen_version=make_etag(capacity.list_queue_settings(queue)),
        row=row,
        line=line,
        listing=listing,
        line_columns=LINE_COLUMNS,
        form=form or Form(),
        chosen=Form(),
        outcome=outcome,
        foreseen=foreseen,
        as_of=seen.facts.now,
    )
