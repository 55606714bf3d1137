"""What-if: settings are drafted, simulated in the background, compared, and applied with a reason."""

from datetime import timedelta
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse

from broker import errors
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.page import OpsPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.naming import name_contracts, name_queues
from broker.console.ops.outcome import tell_outcome
from broker.console.ops.pools_page import DISCIPLINES
from broker.console.ops.reading import open_work, read_overview
from broker.console.ops.what_if_view import (
    MOST_ROWS,
    SPAN_COLUMNS,
    add_up,
    list_drafted_jobs,
    list_moved,
    list_spans,
    place_gantt,
    read_draft,
)
from broker.http.csv_table import MEDIA_TYPE, write_table
from broker.identity import service as identity
from broker.jobs.reading.waiting_page import LineFilter, read_line_page
from broker.operations.applying import FRESH_FOR
from broker.scheduling import simulations
from broker.scheduling.settings import read_settings

router = page_router("/ops")
PATH = "/console/ops/what-if"
WINDOWS = (
    ("1", N_("the last hour")),
    ("6", N_("the last 6 hours")),
    ("24", N_("the last day")),
    ("168", N_("the last week")),
)
MOST_CONTRACTS, MOST_LISTED, MOST_JOBS = 20, 10, 10
MOVED_COLUMNS = (
    Column(N_("Job")),
    Column(N_("Queue")),
    Column(N_("As it was"), is_number=True),
    Column(N_("As proposed"), is_number=True),
    Column(N_("Later by"), is_number=True),
)
PAST_COLUMNS = (Column(N_("Simulation")), Column(N_("State")), Column(N_("Window")), Column(N_("Asked at")))


@router.get("/what-if")
async def show_draft(page: OpsPage) -> HTMLResponse:
    """Show the settings of now as a draft, and the simulations of before."""
    return await _show_draft(page, Form())


@router.post("/what-if")
async def simulate_draft(page: OpsPage) -> Response:
    """Start a simulation of what the draft changes, in the background."""
    form = await page.read_form()
    hours = form.get("hours") or "24"
    if hours not in dict(WINDOWS):
        raise errors.invalid_field("hours", "choose one of the times that the form has")
    now = await _read_now(page, list_drafted_jobs(form.values))
    begins_at = (page.now - timedelta(hours=int(hours))).isoformat()
    body = {"proposal": read_draft(form.values, now), "begins_at": begins_at}
    answer = await page.ask("POST", "/v1/queues/simulations", body, key=form.key)
    if answer.problem is not None:
        return await _show_draft(page, form.refused(answer.problem))
    return page.go_to(f"{PATH}/{answer.body['id']}")


async def _read_now(page: Page, job_ids: list[str]) -> dict[str, Any]:
    """Read the settings that a draft may change, in a transaction before the API is asked."""
    contract_ids = await _list_contracts(page)
    async with page.request.app.state.overview.system.work() as work:
        return dict(await read_settings(work, contract_ids, job_ids))


async def _list_contracts(page: Page) -> list[str]:
    """List the contracts that hold or want GPUs, those that do most first."""
    seen = await read_overview(page)
    ranked = sorted(seen.standings, key=lambda each: (-each.claim.wanted, each.contract_id))
    return list(dict.fromkeys(each.contract_id for each in ranked))[:MOST_CONTRACTS]


async def _show_draft(page: Page, form: Form) -> HTMLResponse:
    contract_ids = await _list_contracts(page)
    seen = await read_overview(page)
    work = await open_work(page)
    line = (await read_line_page(work, LineFilter(), limit=MOST_JOBS, total=1)).rows
    now = await read_settings(work, contract_ids, [row.id for row in line])
    past = await simulations.list_simulations(work, limit=MOST_LISTED)
    proposed = {name for each in past for named in each.proposal.values() for name in named}
    return page.show(
        "ops/what_if.html",
        status=200 if form.problem is None else form.problem.status,
        draft=now,
        names=seen.names,
        line=[(row, now["jobs"].get(row.id, {"priority": None})) for row in line],
        customers=await identity.list_names(work, {row.customer_id for row in line}),
        queue_names=await name_queues(work, {*(row.queue for row in line), *now["queues"], *proposed}),
        contract_names=await name_contracts(work, {*now.get("contracts", {}), *proposed}),
        form=form,
        windows=WINDOWS,
        disciplines=[(name, name) for name in DISCIPLINES],
        past=Panel.of(past, page.now, shown=len(past), is_filtered=False),
        past_columns=PAST_COLUMNS,
    )


@router.get("/what-if/{simulation_id}")
async def show_simulation(page: OpsPage, simulation_id: str) -> HTMLResponse:
    """Show a simulation: how far it is, or what it would bring, before and after."""
    return await _show_result(page, simulation_id, Form())


@router.get("/what-if/{simulation_id}/gantt.csv")
async def download_gantt(page: OpsPage, simulation_id: str) -> Response:
    """Write both Gantts as CSV: a line for each wait and each run of a job, as it was and as proposed."""
    row = await simulations.get_simulation(await open_work(page), simulation_id)
    if row.status != simulations.DONE or row.result is None:
        raise errors.NotFound("result of simulation", simulation_id)
    rows = list_spans(row.result.get("drawn", []), row.begins_at, row.ends_at)
    headers = {"Content-Disposition": f'attachment; filename="{simulation_id}-gantt.csv"'}
    return Response(write_table(SPAN_COLUMNS, rows, names=("queue", "pool")), media_type=MEDIA_TYPE, headers=headers)


@router.post("/what-if/{simulation_id}/apply")
async def apply_simulation(page: OpsPage, simulation_id: str) -> Response:
    """Apply what was simulated, with a reason; refused where it is stale."""
    form = await page.read_form()
    path = f"/v1/queues/simulations/{simulation_id}/apply"
    answer = await page.ask("POST", path, {"reason": form.get("reason")}, key=form.key)
    if answer.problem is not None:
        return await _show_result(page, simulation_id, form.refused(answer.problem))
    outcome = await tell_outcome(page, answer.body, simulation_id)
    return await _show_result(page, simulation_id, Form(), outcome=outcome)


async def _show_result(page: Page, simulation_id: str, form: Form, **more: Any) -> HTMLResponse:
    work = await open_work(page)
    row = await simulations.get_simulation(work, simulation_id)
    told: dict[str, Any] = {"outcome": None, **more}
    told["names"] = await name_contracts(work, list(row.proposal.get("contracts", ())))
    if row.status == simulations.DONE and row.result is not None:
        drawn = row.result.get("drawn", [])
        moved = list_moved(drawn)
        sides = ("today", "proposed")
        told |= {
            "gantts": [place_gantt(drawn, side, row.begins_at, row.ends_at) for side in sides],
            "sums": [add_up(row.result, side) for side in sides],
            "moved": Panel.of(moved, row.ends_at, shown=len(moved), is_filtered=False),
            "moved_columns": MOVED_COLUMNS,
            "queue_names": await name_queues(work, {each.queue for each in moved}),
            "drawn": min(len(drawn), MOST_ROWS),
        }
    return page.show(
        "ops/simulation.html",
        status=200 if form.problem is None else form.problem.status,
        is_over=row.status in {simulations.DONE, simulations.FAILED},
        simulation=row,
        state=Panel.ready(row, page.now),
        is_stale=page.now - row.ends_at > FRESH_FOR,
        fresh_minutes=FRESH_FOR // timedelta(minutes=1),
        form=form,
        **told,
    )
