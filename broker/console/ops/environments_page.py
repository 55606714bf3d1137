"""The house's environments: servers of stages that staff has named, what each is to serve, and how far each push is."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from broker.adapters.exports import Layout
from broker.console.environments import (
    NAMES_LISTED,
    PLACES,
    WORDS,
    describe_health,
    list_options,
    load_versions,
    read_places,
    write_environment,
)
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import OpsPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.environments import service as environments
from broker.environments.model import PushState
from broker.environments.schemas import EnvironmentOut
from broker.identity import service as identity

router = page_router("/ops/environments")
PATH = "/console/ops/environments"

PAGE = 25
COLUMNS = (
    Column(N_("Name")),
    Column(N_("Adapters of")),
    Column(N_("Stage")),
    Column(N_("Kind")),
    Column(N_("State")),
    Column(N_("Pushes")),
    Column(N_("Made")),
)
PUSHES = (
    Column(N_("Customer")),
    Column(N_("Name")),
    Column(N_("To be served")),
    Column(N_("Served now")),
    Column(N_("The server calls it")),
    Column(N_("State")),
    Column(N_("Since")),
)
# None is peft's.
LAYOUTS = [("", Layout.PEFT.value), *((each.value, each.value) for each in Layout if each is not Layout.PEFT)]


@dataclass(frozen=True)
class HouseEnvironment:
    """An environment of the house, and how many names it is to serve, by state."""

    row: EnvironmentOut
    served: environments.Served


@router.get("")
async def show_environments(page: OpsPage, cursor: Annotated[str | None, Query(max_length=64)] = None) -> HTMLResponse:
    """Show the environments of the house, the newest first, and the form for another."""
    return await _show(page, Form(), cursor=cursor)


async def _show(page: Page, form: Form, *, cursor: str | None = None, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    found, after = await fetch_newest(work, environments.select_of_house(), limit=PAGE, cursor=cursor)
    served = await environments.sum_up_pushes(work, [row.id for row in found], most=NAMES_LISTED)
    rows = [HouseEnvironment(EnvironmentOut.of(row, work.actor), served[row.id]) for row in found]
    return page.show(
        "ops/environments.html",
        status=status,
        box=Panel.of(rows, page.now, shown=len(rows), is_filtered=cursor is not None),
        customers=await identity.list_names(work, {row.customer_id for row in found if row.customer_id is not None}),
        columns=COLUMNS,
        listing=Listing(len(rows), next_cursor=after, cursor=cursor),
        layouts=LAYOUTS,
        health=describe_health,
        form=form,
        **WORDS,
    )


@router.post("")
async def make_environment(page: OpsPage) -> Response:
    """Name an environment through the API, and show it; the secret that was made for a webhook this once."""
    form = await page.read_form()
    answer = await page.ask("POST", "/v1/environments", write_environment(form), key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    environment_id = answer.body["id"]
    if answer.body["kind"] == "webhook" and not form.get("token"):
        return await _show_one(page, environment_id, Form(), made=answer.body["secret"] or "", status=answer.status)
    return page.go_to(f"{PATH}/{environment_id}")


@router.get("/{environment_id}")
async def show_environment(
    page: OpsPage,
    environment_id: str,
    state: PushState | None = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> HTMLResponse:
    """Show an environment: what it is to serve of whom and what it serves, and how far each push is."""
    return await _show_one(page, environment_id, Form(), state=state, cursor=cursor)


async def _show_one(
    page: Page,
    environment_id: str,
    form: Form,
    *,
    state: PushState | None = None,
    cursor: str | None = None,
    made: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    work = await page.begin()
    row = await environments.get_environment(work, environment_id)
    query = environments.select_pushes(environment_id=environment_id, state=state)
    found, after = await fetch_newest(work, query, limit=PAGE, cursor=cursor)
    whose = {push.customer_id for push in found} | ({row.customer_id} if row.customer_id is not None else set())
    customers = await identity.list_names(work, whose)
    shown = EnvironmentOut.of(row, work.actor)
    is_narrowed = cursor is not None or state is not None
    return page.show(
        "ops/environment.html",
        status=status,
        row=shown,
        is_of_house=row.is_of_staff,
        customer=customers.get(row.customer_id or ""),
        options=list_options(shown),
        health=describe_health(shown),
        pushes=Panel.of(found, page.now, shown=len(found), is_filtered=is_narrowed),
        versions=await load_versions(work, found),
        customers=customers,
        columns=PUSHES,
        listing=Listing(len(found), next_cursor=after, cursor=cursor),
        state=state,
        layouts=LAYOUTS,
        form=form,
        changing=form if form.get("url") else Form(),
        made=made,
        **WORDS,
    )


@router.post("/{environment_id}/change")
async def change_environment(page: OpsPage, environment_id: str) -> Response:
    """Change where a server is, what authenticates the broker there, or where files are put, through the API."""
    form = await page.read_form()
    known = await page.ask("GET", f"/v1/environments/{environment_id}")
    if known.problem is not None:
        return await _show_one(page, environment_id, form.refused(known.problem), status=known.status)
    changes: dict[str, Any] = form.given("name", "url", "token")
    before = {name: value for name, value in known.body["options"].items() if value is not None}
    after = {name: value for name, value in before.items() if name not in PLACES} | read_places(form)
    if after != before:
        changes["options"] = after
    return await _act(page, environment_id, "PATCH", "", changes)


@router.post("/{environment_id}/enable")
async def enable_environment(page: OpsPage, environment_id: str) -> Response:
    """Switch it on through the API: what it lacks is pushed."""
    return await _act(page, environment_id, "PATCH", "", {"status": "enabled"})


@router.post("/{environment_id}/disable")
async def disable_environment(page: OpsPage, environment_id: str) -> Response:
    """Switch it off through the API: nothing is pushed to it."""
    return await _act(page, environment_id, "PATCH", "", {"status": "disabled"})


@router.post("/{environment_id}/push")
async def push_environment(page: OpsPage, environment_id: str) -> Response:
    """Push all that it is to serve once more, through the API."""
    return await _act(page, environment_id, "POST", "/push")


@router.post("/{environment_id}/remove")
async def remove_environment(page: OpsPage, environment_id: str) -> Response:
    """Remove it through the API: it keeps what it serves, and is told nothing more."""
    return await _act(page, environment_id, "DELETE", "", leads_to=PATH)


async def _act(
    page: Page, environment_id: str, method: str, path: str, body: object = None, *, leads_to: str | None = None
) -> Response:
    form = await page.read_form()
    keys = {"key": form.key} if method == "POST" else {}
    answer = await page.ask(method, f"/v1/environments/{environment_id}{path}", body, **keys)
    if answer.problem is not None:
        return await _show_one(page, environment_id, form.refused(answer.problem), status=answer.status)
    return page.go_to(leads_to or f"{PATH}/{quote(environment_id, safe='')}")
