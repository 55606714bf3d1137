"""API keys: which there are, when each was used last, made, replaced and revoked; a key is shown once."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse, Response

from broker.console.frame.forms import Form
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.http.scopes import Scope
from broker.identity import service as identity

router = page_router("/keys")

MOST_KEYS = 100
# What a key is mostly made for, and the scopes that this takes; others are made by the API.
PURPOSES: Mapping[str, tuple[str, Sequence[Scope] | None]] = {
    "": (N_("everything"), None),
    "train": (N_("train: data, quotes, jobs, adapters"), ["training:write"]),
    "read": (N_("look at everything"), ["training:read", "billing:read", "operations:read", "account:read"]),
    "billing": (N_("money alone"), ["billing:write"]),
    "projects": (N_("train in projects of which it is made a member, and see nothing else"), ["training:write"]),
}
CONFINED = "projects"
COLUMNS = (
    Column(N_("Name")),
    Column(N_("Begins with")),
    Column(N_("May")),
    Column(N_("State")),
    Column(N_("Last used")),
    Column(N_("Signed in"), is_number=True),
    Column(N_("Expires")),
    Column(N_("Made")),
    Column(""),
)


@router.get("")
async def show_keys(page: CustomerPage) -> HTMLResponse:
    """Show the keys, the newest first."""
    return await _show(page, Form())


async def _show(page: Page, form: Form, *, made: str | None = None, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    query = identity.select_api_keys(customer_id=work.actor.customer_id)
    rows, _after = await fetch_newest(work, query, limit=MOST_KEYS)
    sessions = await identity.count_sessions(work, work.actor.customer_id or "")
    panel = Panel.of(rows, page.now, shown=len(rows), is_filtered=False)
    return page.show(
        "customer/keys.html",
        status=status,
        box=panel,
        columns=COLUMNS,
        form=form,
        made=made,
        own=work.actor.id,
        sessions=sessions,
        purposes=PURPOSES,
        replaced={row.replaces for row in rows},
    )


@router.post("")
async def make_key(page: CustomerPage) -> Response:
    """Make a key through the API, and show it this once: no reload shows it again."""
    form = await page.read_form()
    customer_id = page.caller.actor.customer_id
    body: dict[str, Any] = {**form.given("name"), **read_expiry(form.get("expires_at"), page.formats.time_zone)}
    body |= {"scopes": scopes} if (scopes := read_scopes(form.get("purpose"))) is not None else {}
    body |= {"confined_to_projects": True} if form.get("purpose") == CONFINED else {}
    answer = await page.ask("POST", f"/v1/customers/{customer_id}/api-keys", body, key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    return await _show(page, Form(), made=answer.body["key"] or "", status=answer.status)


def read_scopes(purpose: str) -> Sequence[str] | None:
    """Read the scopes of a purpose; one that is not known is left to the API to refuse."""
    return PURPOSES[purpose][1] if purpose in PURPOSES else [purpose]


@router.post("/{key_id}/rotate")
async def rotate_key(page: CustomerPage, key_id: str) -> Response:
    """Make a key in the place of another through the API, and show it this once; both are good for a day."""
    form = await page.read_form()
    answer = await page.ask("POST", f"/v1/api-keys/{key_id}/rotate", {}, key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    return await _show(page, Form(), made=answer.body["key"] or "", status=answer.status)


def read_expiry(day: str, time_zone: str) -> dict[str, str]:
    """Read until the end of which day a key is good, in the time of the house; what is no day the API refuses."""
    if not day:
        return {}
    try:
        after = date.fromisoformat(day) + timedelta(days=1)
    except (ValueError, OverflowError):
        return {"expires_at": day}
    return {"expires_at": datetime.combine(after, time(), ZoneInfo(time_zone)).isoformat()}


@router.post("/{key_id}/sign-out")
async def sign_out_everywhere(page: CustomerPage, key_id: str) -> Response:
    """End all sessions that were begun with a key, through the API: this one too, where it is its own."""
    form = await page.read_form()
    answer = await page.ask("DELETE", f"/v1/api-keys/{key_id}/sessions")
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    return page.go_to("/console/keys")


@router.post("/{key_id}/revoke")
async def revoke_key(page: CustomerPage, key_id: str) -> Response:
    """Revoke a key through the API."""
    form = await page.read_form()
    answer = await page.ask("DELETE", f"/v1/api-keys/{key_id}")
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    return page.go_to("/console/keys")
