"""Environments: the servers that serve what a stage has, what is current in each, and how far each push is."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from broker.adapters import promoting
from broker.console.environments import (
    NAMES_LISTED,
    WORDS,
    describe_health,
    list_options,
    load_versions,
    write_environment,
)
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.environments import service as environments
from broker.environments.schemas import EnvironmentOut
from broker.identity import service as identity
from broker.work import Work

router = page_router("/environments")

MOST = 200
PAGE = 25
COLUMNS = (
    Column(N_("Name")),
    Column(N_("Stage")),
    Column(N_("Kind")),
    Column(N_("State")),
    Column(N_("What it serves")),
    Column(N_("Made")),
)
PUSHES = (
    Column(N_("Name")),
    Column(N_("To be served")),
    Column(N_("Served now")),
    Column(N_("The server calls it")),
    Column(N_("State")),
    Column(N_("Since")),
    Column(""),
)


@dataclass(frozen=True)
class EnvironmentShown:
    """An environment as its customer may see it, what it serves, and whether its customer may change it."""

    row: EnvironmentOut
    is_own: bool
    served: environments.Served


@dataclass(frozen=True)
class PushShown:
    """What an environment is to serve of a name, what it last confirmed, and the promotion that says so.

    Versions are None where they are deleted; `promotion_id` is None where nothing is current any more.
    """

    row: Any
    wanted: Any | None
    live: Any | None
    promotion_id: str | None


@router.get("")
async def show_environments(page: CustomerPage) -> HTMLResponse:
    """Show the environments, the newest first, and the form for another."""
    return await _show(page, Form())


async def _show(page: Page, form: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    found, _after = await fetch_newest(work, environments.select_environments(), limit=MOST)
    served = await environments.sum_up_pushes(work, [row.id for row in found], most=NAMES_LISTED)
    rows = [EnvironmentShown(EnvironmentOut.of(row, work.actor), not row.is_of_staff, served[row.id]) for row in found]
    projects, _after = await fetch_newest(
        work, identity.select_projects(customer_id=work.actor.customer_id), limit=MOST
    )
    return page.show(
        "customer/environments.html",
        status=status,
        box=Panel.of(rows, page.now, shown=len(rows), is_filtered=False),
        versions=await load_versions(work, [push for each in rows for push in each.served.newest]),
        columns=COLUMNS,
        projects=projects,
        health=describe_health,
        form=form,
        **WORDS,
    )


@router.post("")
async def make_environment(page: CustomerPage) -> Response:
    """Name an environment through the API, and show it; the secret that was made for a webhook this once."""
    form = await page.read_form()
    answer = await page.ask("POST", "/v1/environments", write_environment(form), key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    environment_id = answer.body["id"]
    if answer.body["kind"] == "webhook" and not form.get("token"):
        return await _show_one(page, environment_id, Form(), made=answer.body["secret"] or "", status=answer.status)
    return page.go_to(f"/console/environments/{environment_id}")


@router.get("/{environment_id}")
async def show_environment(
    page: CustomerPage, environment_id: str, cursor: Annotated[str | None, Query(max_length=64)] = None
) -> HTMLResponse:
    """Show an environment: what it is to serve and what it serves, and how far each push is."""
    return await _show_one(page, environment_id, Form(), cursor=cursor)


async def _show_one(
    page: Page,
    environment_id: str,
    form: Form,
    *,
    cursor: str | None = None,
    made: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    work = await page.begin()
    row = await environments.get_environment(work, environment_id)
    query = environments.select_pushes(environment_id=environment_id)
    found, after = await fetch_newest(work, query, limit=PAGE, cursor=cursor)
    pushes = await _describe_pushes(work, row.stage, found)
    names = {} if row.project_id is None else await identity.list_project_names(work, {row.project_id})
    shown = EnvironmentOut.of(row, work.actor)
    return page.show(
        "customer/environment.html",
        status=status,
        row=shown,
        is_own=not row.is_of_staff,
        project=names.get(row.project_id or ""),
        options=list_options(shown),
        health=describe_health(shown),
        pushes=Panel.of(pushes, page.now, shown=len(pushes), is_filtered=cursor is not None),
        columns=PUSHES,
        listing=Listing(len(pushes), next_cursor=after, cursor=cursor),
        form=form,
        changing=form if form.get("url") else Form(),
        made=made,
        **WORDS,
    )


async def _describe_pushes(work: Work, stage: str, rows: Collection[Any]) -> list[PushShown]:
    versions = await load_versions(work, rows)
    places = promoting.select_stages(customer_id=work.actor.customer_id, stage=stage)
    query = places.where(promoting.AdapterStage.name.in_([row.name for row in rows]))
    promotions = {each.name: each.promotion_id for each in await work.session.scalars(query)}
    return [
        PushShown(
            row,
            versions.get(row.adapter_id or ""),
            versions.get(row.live_adapter_id or ""),
            promotions.get(row.name),
        )
        for row in rows
    ]


@router.post("/{environment_id}/change")
async def change_environment(page: CustomerPage, environment_id: str) -> Response:
    """Change where a server is, or what authenticates the broker there, through the API."""
    form = await page.read_form()
    return await _act(page, environment_id, "PATCH", "", form.given("name", "url", "token"))


@router.post("/{environment_id}/enable")
async def enable_environment(page: CustomerPage, environment_id: str) -> Response:
    """Switch it on through the API: what it lacks is pushed."""
    return await _act(page, environment_id, "PATCH", "", {"status": "enabled"})


@router.post("/{environment_id}/disable")
async def disable_environment(page: CustomerPage, environment_id: str) -> Response:
    """Switch it off through the API: nothing is pushed to it."""
    return await _act(page, environment_id, "PATCH", "", {"status": "disabled"})


@router.post("/{environment_id}/push")
async def push_environment(page: CustomerPage, environment_id: str) -> Response:
    """Push all that it is to serve once more, through the API."""
    return await _act(page, environment_id, "POST", "/push")


@router.post("/{environment_id}/remove")
async def remove_environment(page: CustomerPage, environment_id: str) -> Response:
    """Remove it through the API: it keeps what it serves, and is told nothing more."""
    return await _act(page, environment_id, "DELETE", "", leads_to="/console/environments")


async def _act(
    page: Page, environment_id: str, method: str, path: str, body: object = None, *, leads_to: str | None = None
) -> Response:
    form = await page.read_form()
    keys = {"key": form.key} if method == "POST" else {}
    answer = await page.ask(method, f"/v1/environments/{environment_id}{path}", body, **keys)
    if answer.problem is not None:
        return await _show_one(page, environment_id, form.refused(answer.problem), status=answer.status)
    return page.go_to(leads_to or f"/console/environments/{quote(environment_id, safe='')}")
