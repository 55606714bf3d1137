"""The pools as ops sees them: a live map of machines, what runs there, and the forms that drain, open and repair."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.capacity import readiness
from broker.capacity.pool_changes import list_pool_settings
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.page import OpsPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.frame.problem import rename_errors
from broker.console.naming import name_queues
from broker.console.ops.moments import read_moment
from broker.console.ops.outcome import Outcome, tell_outcome
from broker.console.ops.pools_view import (
    LETTERS,
    WORDS,
    Floor,
    TileState,
    draw_bars,
    draw_floor,
    find_tile,
    list_running_on,
)
from broker.console.ops.reading import open_work, read_overview
from broker.http.versions import make_etag

router = page_router("/ops")
NODE_ACTS = {"drain": "draining", "down": "down", "up": "open"}
DISCIPLINES = ("fair", "first-come", "shortest-remaining-service", "least-attained-service")
RUN_COLUMNS = (
    Column(N_("Job")),
    Column(N_("Customer")),
    Column(N_("Queue")),
    Column(N_("GPUs"), is_number=True),
    Column(N_("Since")),
    Column(N_("Expected to take"), is_number=True),
)
BAR_COLUMNS = (
    Column(N_("Contract of")),
    Column(N_("GPU type")),
    Column(N_("Own"), is_number=True),
    Column(N_("Borrowed"), is_number=True),
    Column(N_("Limit"), is_number=True),
    Column(""),
)


@router.get("/pools")
async def show_pools(page: OpsPage, tile: Annotated[str | None, Query(max_length=500)] = None) -> HTMLResponse:
    """Show ops its pools, and of one machine what runs there."""
    return await _show(page, tile, Form())


@router.post("/pools/{name}/change")
async def change_pool(page: OpsPage, name: str) -> Response:
    """Drain or open a machine, say that it is down, plan maintenance, or close its pool, with a reason."""
    form = await page.read_form()
    node = form.get("node") or name
    changes = await _read_changes(page, form, name, node)
    answer = await page.ask("PATCH", f"/v1/pools/{quote(name, safe='')}", changes, key=form.key, seen=form.seen)
    place = f"{name}/{node}"
    if answer.problem is not None:
        windows = len(changes.get("maintenance", ())) - 1
        names = {f"maintenance.{windows}.{end}": end for end in ("begins_at", "ends_at")}
        refused = form.refused(rename_errors(answer.problem, names))
        return await _show(page, place, refused, status=answer.status)
    return await _show(page, place, Form(), outcome=await tell_outcome(page, answer.body, name))


async def _read_changes(page: Page, form: Submitted, name: str, node: str) -> dict[str, Any]:
    """Read what is to change, as the API takes it; what of it is wrong the API says."""
    act = form.get("act")
    told: dict[str, Any] = {"reason": form.get("reason")}
    if act in NODE_ACTS:
        return told | {"nodes": {node: NODE_ACTS[act]}}
    if act == "maintenance":
        return told | {"maintenance": [*await _list_planned(page, name), _read_window(page, form, node)]}
    if act == "discipline":
        return told | {"discipline": form.get("discipline")}
    return told | {"open": act == "open"}


def _read_window(page: Page, form: Submitted, node: str) -> dict[str, Any]:
    zone = page.caller.services.settings.time_zone
    window: dict[str, Any] = {end: read_moment(form.get(end), zone) for end in ("begins_at", "ends_at")}
    return window | ({} if form.get("whole") else {"nodes": [node]})


async def _list_planned(page: Page, name: str) -> list[dict[str, Any]]:
    """List the times of maintenance that are planned already: the API takes all of them at once."""
    answer = await page.ask("GET", f"/v1/pools/{quote(name, safe='')}")
    planned = [] if answer.problem is not None else answer.body["maintenance"]
    return [window for window in planned if window["ends_at"] > page.now.isoformat()]


async def _show(
    page: Page, place: str | None, form: Form, *, status: int = 200, outcome: Outcome | None = None
) -> HTMLResponse:
    await open_work(page)
    seen = await read_overview(page)
    floor = draw_floor(seen)
    now = seen.facts.now
    tile = None if place is None else find_tile(floor, place)
    is_alone = tile is not None and _count_tiles(floor, tile.pool) == 1
    running = [] if tile is None else list_running_on(seen, tile, is_alone)
    work = await open_work(page)
    pool = None if tile is None else (await readiness.get_pool(work, tile.pool)).pool
    return page.show(
        "ops/pools.html",
        status=status,
        floor=Panel.of(floor, now, shown=len(floor.pools), is_filtered=False),
        bars=Panel.of(bars := draw_bars(seen), now, shown=len(bars), is_filtered=False),
        queue_names=await name_queues(work, {row.queue for row in running if row.queue}),
        tile=tile,
        seen_version=None if pool is None else make_etag(list_pool_settings(pool)),
        here=next((pool for pool in floor.pools if tile is not None and pool.name == tile.pool), None),
        running=Panel.of(running, now, shown=len(running), is_filtered=False),
        form=form,
        outcome=outcome,
        legend=[(state.value, LETTERS[state], WORDS[state]) for state in TileState],
        run_columns=RUN_COLUMNS,
        bar_columns=BAR_COLUMNS,
        disciplines=[(name, name) for name in DISCIPLINES],
    )


def _count_tiles(floor: Floor, pool: str) -> int:
    return next(len(each.tiles) for each in floor.pools if each.name == pool)
