"""Webhooks: where programs of the customer listen, what they were told, and what came of each attempt."""

from collections.abc import Mapping
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse, Response

from broker.console.frame.forms import Form
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.identity import service as identity
from broker.webhooks import endpoints, replaying
from broker.webhooks.model import ABOUT_JOBS, CHOICES, DeliveryStatus, EventType

router = page_router("/webhooks")

MOST = 50
# What an endpoint mostly hears of; another choice is made by the API.
HEARS: Mapping[str, tuple[str, tuple[EventType, ...]]] = {
    "all": (N_("everything"), CHOICES),
    "jobs": (N_("jobs and adapters"), tuple(kind for kind in CHOICES if kind in ABOUT_JOBS)),
    "ends": (N_("jobs that end, and their adapters"), (EventType.JOB_ENDED, EventType.ADAPTER_CREATED)),
    "money": (N_("money and arrears"), tuple(kind for kind in CHOICES if kind not in ABOUT_JOBS)),
}
STATES = {
    "by_hand": N_("switched off"),
    "failing": N_("switched off: it took nothing for days"),
    "gone": N_("switched off: it answered 410"),
}
DELIVERY_STATES = {
    DeliveryStatus.PENDING: N_("tried again"),
    DeliveryStatus.DELIVERED: N_("delivered"),
    DeliveryStatus.FAILED: N_("given up"),
}
COLUMNS = (Column(N_("Name")), Column(N_("URL")), Column(N_("State")), Column(N_("Last taken")), Column(N_("Made")))
ATTEMPTS = (
    Column(N_("When")),
    Column(N_("Event")),
    Column(N_("Attempt"), is_number=True),
    Column(N_("Answer")),
    Column("ms", is_number=True),
)
DELIVERIES = (
    Column(N_("Event")),
    Column(N_("State")),
    Column(N_("Attempts"), is_number=True),
    Column(N_("Next")),
    Column(""),
)


@router.get("")
async def show_webhooks(page: CustomerPage) -> HTMLResponse:
    """Show where programs listen, the newest first, and the form for another."""
    return await _show(page, Form())


async def _show(page: Page, form: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    rows, _after = await fetch_newest(
        work, endpoints.select_endpoints(customer_id=work.actor.customer_id), limit=endpoints.MOST_ENDPOINTS
    )
    projects, _after = await fetch_newest(
        work, identity.select_projects(customer_id=work.actor.customer_id), limit=MOST
    )
    panel = Panel.of(rows, page.now, shown=len(rows), is_filtered=False)
    return page.show(
        "customer/webhooks.html",
        status=status,
        box=panel,
        columns=COLUMNS,
        form=form,
        hears=HEARS,
        states=STATES,
        projects=projects,
    )


@router.post("")
async def create_webhook(page: CustomerPage) -> Response:
    """Name where a program listens through the API, and show its secret this once."""
    form = await page.read_form()
    body = {**form.given("name", "url", "project_id"), "event_types": _read_types(form.get("hears"))}
    answer = await page.ask("POST", "/v1/webhook-endpoints", body, key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    return await _show_one(page, answer.body["id"], Form(), made=answer.body["secret"] or "", status=answer.status)


def _read_types(hears: str) -> list[str]:
    return [kind.value for kind in HEARS.get(hears, HEARS["all"])[1]]


@router.get("/{endpoint_id}")
async def show_webhook(page: CustomerPage, endpoint_id: str) -> HTMLResponse:
    """Show an endpoint: how it takes what it is sent, attempt by attempt, and what did not reach it."""
    return await _show_one(page, endpoint_id, Form())


async def _show_one(
    page: Page, endpoint_id: str, form: Form, *, made: str | None = None, status: int = 200
) -> HTMLResponse:
    work = await page.begin()
    endpoint = await endpoints.get_endpoint(work, endpoint_id)
    attempts, _after = await fetch_newest(work, replaying.select_attempts(endpoint_id=endpoint_id), limit=MOST)
    open_ones = replaying.select_undelivered(endpoint_id)
    undelivered, _after = await fetch_newest(work, open_ones, limit=MOST)
    return page.show(
        "customer/webhook.html",
        status=status,
        endpoint=endpoint,
        state=STATES.get(endpoint.disabled_for or ""),
        attempts=Panel.of(attempts, page.now, shown=len(attempts), is_filtered=False),
        undelivered=Panel.of(undelivered, page.now, shown=len(undelivered), is_filtered=False),
        attempt_columns=ATTEMPTS,
        delivery_columns=DELIVERIES,
        delivery_states=DELIVERY_STATES,
        form=form,
        made=made,
    )


async def _act(page: Page, endpoint_id: str, method: str, path: str, body: object = None) -> Response:
    """Ask the API for something of an endpoint, and show the endpoint again: its new secret, where it has one."""
    form = await page.read_form()
    keys = {"key": form.key} if method == "POST" else {}
    answer = await page.ask(method, f"/v1/webhook-endpoints/{endpoint_id}{path}", body, **keys)
    if answer.problem is not None:
        return await _show_one(page, endpoint_id, form.refused(answer.problem), status=answer.status)
    if "secret" in answer.body:
        return await _show_one(page, endpoint_id, Form(), made=answer.body["secret"] or "")
    return page.go_to(f"/console/webhooks/{endpoint_id}")


@router.post("/{endpoint_id}/test")
async def test_webhook(page: CustomerPage, endpoint_id: str) -> Response:
    """Send a test through the API."""
    return await _act(page, endpoint_id, "POST", "/test")


@router.post("/{endpoint_id}/rotate")
async def rotate_webhook(page: CustomerPage, endpoint_id: str) -> Response:
    """Give it another secret through the API; the former one signs beside it for a day."""
    return await _act(page, endpoint_id, "POST", "/rotate-secret", {})


@router.post("/{endpoint_id}/enable")
async def enable_webhook(page: CustomerPage, endpoint_id: str) -> Response:
    """Switch it on through the API."""
    return await _act(page, endpoint_id, "PATCH", "", {"status": "enabled"})


@router.post("/{endpoint_id}/disable")
async def disable_webhook(page: CustomerPage, endpoint_id: str) -> Response:
    """Switch it off through the API."""
    return await _act(page, endpoint_id, "PATCH", "", {"status": "disabled"})


@router.post("/{endpoint_id}/replay")
async def replay_webhook(page: CustomerPage, endpoint_id: str) -> Response:
    """Send one event again, or all since the beginning of a day, through the API."""
    form = await page.read_form()
    wanted = form.given("event_id") or {"since": read_day(form.get("since"), page.formats.time_zone)}
    return await _act(page, endpoint_id, "POST", "/replay", wanted)


def read_day(day: str, time_zone: str) -> str:
    """Read the beginning of a day in the time of the house; what is no day the API refuses."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), ZoneInfo(time_zone)).isoformat()
    except ValueError:
        return day


@router.post("/{endpoint_id}/remove")
async def remove_webhook(page: CustomerPage, endpoint_id: str) -> Response:
    """Remove it through the API."""
    form = await page.read_form()
    answer = await page.ask("DELETE", f"/v1/webhook-endpoints/{endpoint_id}")
    if answer.problem is not None:
        return await _show_one(page, endpoint_id, form.refused(answer.problem), status=answer.status)
    return page.go_to("/console/webhooks")
