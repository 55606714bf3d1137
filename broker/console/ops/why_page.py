"""Why a job waits: one sentence first, then what it is made of."""

from fastapi.responses import HTMLResponse

from broker.console.frame.forms import Form
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.page import OpsPage, page_router
from broker.console.frame.panels import Panel
from broker.console.naming import name_queues
from broker.console.ops.queues_page import LINE_COLUMNS
from broker.console.ops.queues_view import list_waiting_rows, tell_reason
from broker.console.ops.reading import open_work, read_overview
from broker.console.ops.why_view import draw_wait, list_room, sum_wait, tell_rank
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.jobs.reading.sooner import list_sooner
from broker.jobs.reading.wait_causes import read_wait
from broker.jobs.reading.waiting_page import list_ahead
from broker.jobs.rules.model import JobStatus
from broker.operations.peers import explain_against_peer
from broker.scheduling.cycle.past import list_past_cycles

router = page_router("/ops")
MOST_AHEAD, MOST_CYCLES = 10, 15
ROOM_COLUMNS = (
    Column(N_("GPU type")),
    Column(N_("Asked for"), is_number=True),
    Column(N_("Free"), is_number=True),
    Column(N_("Of"), is_number=True),
    Column(N_("GPU-hours (p50)"), is_number=True),
)
CYCLE_COLUMNS = (
    Column(N_("Cycle")),
    Column(N_("Started"), is_number=True),
    Column(N_("Which")),
    Column(N_("Withheld")),
)


@router.get("/jobs/{job_id}/why")
async def show_why(page: OpsPage, job_id: str) -> HTMLResponse:
    """Show why a job waits, or waited."""
    seen = await read_overview(page)
    work = await open_work(page)
    job = await jobs.get_job(work, job_id)
    job.require_readable()
    language = page.preferences.language
    is_waiting = job.status == JobStatus.QUEUED
    position = None if job.pending_reason is None else job.pending_reason.get("position")
    ahead = await list_ahead(work, job, limit=MOST_AHEAD) if is_waiting else []
    names = await identity.list_names(work, {job.customer_id, *(row.customer_id for row in ahead)})
    rows = list_waiting_rows(ahead, seen.facts.queues, names, language)
    cycles = await list_past_cycles(work, job.created_at, limit=MOST_CYCLES)
    parts, head, sku = tell_rank(job, seen.facts)
    heads = [head, *(each for each in seen.heads.get(sku, {}).values() if each.contract_id != job.contract_id)]
    peer = explain_against_peer(head, heads, lambda contract: (seen.names.get(contract, contract),) * 2)
    bars = draw_wait(await read_wait(work, job))
    return page.show(
        "ops/why.html",
        job=job,
        queue_names=await name_queues(work, {job.queue, *(row.queue for row in ahead)}),
        customer=names[job.customer_id],
        is_waiting=is_waiting,
        sentence=tell_reason(job.pending_reason, language),
        next_step=(job.pending_reason or {}).get("next_step_zh" if language == "zh" else "next_step"),
        position=position,
        rooms=Panel.ready(list_room(job, seen.facts), seen.facts.now),
        room_columns=ROOM_COLUMNS,
        parts=Panel.ready(parts, seen.facts.now),
        peer=peer[language == "zh"],
        ahead=Panel.of(rows, page.now, shown=len(rows), is_filtered=False),
        line_columns=LINE_COLUMNS,
        sooner=Panel.of(found := await list_sooner(work, job), page.now, shown=len(found), is_filtered=False),
        cycles=Panel.of(cycles, page.now, shown=len(cycles), is_filtered=False),
        cycle_columns=CYCLE_COLUMNS,
        wait=Panel.of(bars, page.now, shown=len(bars), is_filtered=False),
        causes=sum_wait(bars),
        form=Form(),
    )
