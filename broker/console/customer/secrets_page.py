"""Secrets: keys of trackers of the customer's own, named, replaced and removed; none is ever shown."""

from typing import Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse, Response

from broker.console.customer.trackers import TRACKERS
from broker.console.frame.forms import Form
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.customer_secrets import service as secrets
from broker.identity import service as identity

router = page_router("/secrets")

MOST = 200
COLUMNS = (
    Column(N_("Name")),
    Column(N_("Opens")),
    Column(N_("Project")),
    Column(N_("Last given to a run")),
    Column(N_("Replaced")),
    Column(N_("Made")),
)


@router.get("")
async def show_secrets(page: CustomerPage) -> HTMLResponse:
    """Show the secrets without their keys, the newest first, and the form for another."""
    return await _show(page, Form())


async def _show(page: Page, form: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    customer_id = work.actor.customer_id
    rows, _after = await fetch_newest(work, secrets.select_secrets(customer_id=customer_id), limit=MOST)
    projects, _after = await fetch_newest(work, identity.select_projects(customer_id=customer_id), limit=MOST)
    return page.show(
        "customer/secrets.html",
        status=status,
        box=Panel.of(rows, page.now, shown=len(rows), is_filtered=False),
        columns=COLUMNS,
        projects={row.id: row.name for row in projects},
        trackers=TRACKERS,
        form=form,
    )


@router.post("")
async def keep_secret(page: CustomerPage) -> Response:
    """Keep a key through the API."""
    form = await page.read_form()
    body = form.given("name", "kind", "key", "url", "username", "project_id")
    answer = await page.ask("POST", "/v1/secrets", body, key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    return page.go_to("/console/secrets")


@router.get("/{secret_id}")
async def show_secret(page: CustomerPage, secret_id: str) -> HTMLResponse:
    """Show what a secret opens, and the form for another key under its name."""
    return await _show_one(page, secret_id, Form())


async def _show_one(page: Page, secret_id: str, form: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    row = await secrets.get_secret(work, secret_id)
    names = {} if row.project_id is None else await identity.list_project_names(work, {row.project_id})
    return page.show(
        "customer/secret.html",
        status=status,
        row=row,
        project=names.get(row.project_id or ""),
        trackers=TRACKERS,
        form=form,
    )


@router.post("/{secret_id}/replace")
async def replace_secret(page: CustomerPage, secret_id: str) -> Response:
    """Put another key under the name through the API: runs that begin from now on are given it."""
    form = await page.read_form()
    return await _act(page, secret_id, "PATCH", form.given("key", "url", "username"), f"/console/secrets/{secret_id}")


@router.post("/{secret_id}/remove")
async def remove_secret(page: CustomerPage, secret_id: str) -> Response:
    """Forget a key through the API."""
    return await _act(page, secret_id, "DELETE", None, "/console/secrets")


async def _act(page: Page, secret_id: str, method: str, body: Any, leads_to: str) -> Response:
    form = await page.read_form()
    answer = await page.ask(method, f"/v1/secrets/{quote(secret_id, safe='')}", body)
    if answer.problem is not None:
        return await _show_one(page, secret_id, form.refused(answer.problem), status=answer.status)
    return page.go_to(leads_to)
