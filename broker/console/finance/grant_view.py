"""What the pages of a grant show and send. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from broker.console.frame.forms import Submitted, read_whole
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.ledger.service import GrantDraw

DRAW_COLUMNS = (
    Column(N_("Job")),
    Column(N_("Intervals")),
    Column(N_("Quantity"), is_number=True),
    Column(N_("Month")),
    Column(N_("When")),
)


@dataclass(frozen=True)
class DrawsView:
    """A page of what a grant paid for, with the names of jobs that have one; `after` is where the next one begins."""

    rows: Sequence[GrantDraw]
    names: Mapping[str, str]
    after: int | None


def read_gift(contract_id: str, form: Submitted, time_zone: str) -> dict[str, Any]:
    """Read what a form gives a contract, as the API takes it; days begin in the time zone of the house."""
    body: dict[str, Any] = {"contract_id": contract_id, "kind": form.get("kind"), "reason": form.get("reason")}
    body |= form.given("gpu_hours")
    if form.get("tokens"):
        body["tokens"] = read_whole(form.get("tokens"))
    scope = {name: form.get(f"scope.{name}") for name in ("project_id", "gpu_type") if form.get(f"scope.{name}")}
    if scope:
        body["scope"] = scope
    for name in ("effective_at", "expires_at"):
        if form.get(name):
            body[name] = begin_day(form.get(name), time_zone)
    return body


def begin_day(day: str, time_zone: str) -> str:
    """Write the moment at which a day begins; what is no day is left to the API to refuse."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), ZoneInfo(time_zone)).isoformat()
    except ValueError:
        return day
