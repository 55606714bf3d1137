"""What customers' programs are told, which record tells it, and when it is tried again. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

Facts = Mapping[str, Any]

# Between attempts. Source: the example schedule of the Standard Webhooks specification, ten attempts in three days.
PAUSES = tuple(
    timedelta(seconds=seconds) for seconds in (5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)))
)
MOST_ATTEMPTS = len(PAUSES) + 1
# So much of a pause is added at most, so that what failed together is not tried again together.
JITTER_PERCENT = 10
LONGEST_ASKED_PAUSE = timedelta(hours=24)


class EventType(StrEnum):
    """What customers' programs can be told of."""

    JOB_STARTED = "job.started"
    JOB_PREEMPTED = "job.preempted"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_ENDED = "job.ended"
    JOB_START_SLIPPED = "job.start_slipped"
    ADAPTER_CREATED = "adapter.created"
    ADAPTER_PROMOTED = "adapter.promoted"
    LIMIT_REACHED = "limit.reached"
    BUDGET_USED = "budget.used"
    BUDGET_REACHED = "budget.reached"
    BALANCE_ENDING = "balance.ending"
    BALANCE_REACHED = "balance.reached"
    INVOICE_ISSUED = "invoice.issued"
    ARREARS_CHANGED = "arrears.changed"
    MAINTENANCE_ANNOUNCED = "maintenance.announced"
    WEBHOOK_TEST = "webhook.test"


# An endpoint chooses of these; a test goes to whichever endpoint is tested.
CHOICES = tuple(kind for kind in EventType if kind is not EventType.WEBHOOK_TEST)
ABOUT_JOBS = frozenset(
    {
        EventType.JOB_STARTED,
        EventType.JOB_PREEMPTED,
        EventType.JOB_PAUSED,
        EventType.JOB_RESUMED,
        EventType.JOB_ENDED,
        EventType.JOB_START_SLIPPED,
        EventType.ADAPTER_CREATED,
        EventType.ADAPTER_PROMOTED,
        EventType.LIMIT_REACHED,
        EventType.BUDGET_REACHED,
        EventType.BALANCE_REACHED,
        EventType.MAINTENANCE_ANNOUNCED,
    }
)


class Source(StrEnum):
    """Whose records tell of what happens."""

    JOB = "job"
    CONTRACT = "contract"
    INVOICE = "invoice"
    ADAPTER = "adapter"
    ENDPOINT = "endpoint"


class EndpointStatus(StrEnum):
    """Whether an endpoint is sent to."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledFor(StrEnum):
    """Why an endpoint is sent nothing: its customer said so, it failed for days, or it answered that it is gone."""

    BY_HAND = "by_hand"
    FAILING = "failing"
    GONE = "gone"


class DeliveryStatus(StrEnum):
    """Whether an event reached an endpoint: not yet, yes, or never, after all attempts."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


RUN_ENDS = ("run_succeeded", "run_failed", "run_stopped", "run_preempted", "run_lost")
PAUSES_A_JOB = ("paused", "run_stopped", "run_failed", "run_lost", "run_preempted")
# Which records may tell of a type, as `source:kind`: what tells of none that an endpoint chose is not kept for it.
RECORDS: Mapping[EventType, tuple[str, ...]] = {
    EventType.JOB_STARTED: ("job:started",),
    EventType.JOB_PREEMPTED: tuple(f"job:{kind}" for kind in RUN_ENDS),
    EventType.JOB_PAUSED: tuple(f"job:{kind}" for kind in PAUSES_A_JOB),
    EventType.JOB_RESUMED: ("job:resumed",),
    EventType.JOB_ENDED: ("job:cancelled", *(f"job:{kind}" for kind in RUN_ENDS)),
    EventType.JOB_START_SLIPPED: ("job:start_slipped",),
    EventType.ADAPTER_CREATED: ("adapter:created",),
    EventType.ADAPTER_PROMOTED: ("adapter:promoted",),
    EventType.LIMIT_REACHED: tuple(f"job:{kind}" for kind in PAUSES_A_JOB),
    EventType.BUDGET_USED: ("contract:budget_used",),
    EventType.BUDGET_REACHED: tuple(f"job:{kind}" for kind in PAUSES_A_JOB),
    EventType.BALANCE_ENDING: ("contract:money_ending", "contract:grant_expiring"),
    EventType.BALANCE_REACHED: tuple(f"job:{kind}" for kind in PAUSES_A_JOB),
    EventType.INVOICE_ISSUED: ("invoice:issued",),
    EventType.ARREARS_CHANGED: ("contract:arrears_changed", "contract:arrears_extended"),
    EventType.MAINTENANCE_ANNOUNCED: ("job:maintenance_announced", "job:announced"),
}
OVER = frozenset({"succeeded", "failed", "cancelled"})
# What an event tells besides ids; all else is asked of the API, where it is as it is by then.
TOLD = (
    "run_id",
    "attempt",
    "cause",
    "told",
    "expected_start",
    "latest_start",
    "pool",
    "begins_at",
    "ends_at",
    "job_id",
    "name",
    "version",
    "stage",
    "promotion_id",
    "contract_id",
    "number",
    "month",
    "percent",
    "days_left",
    "grant_id",
    "expires_at",
    "state",
    "state_before",
    "until",
    "endpoint_id",
)
ID_NAMES = {
    Source.JOB: "job_id",
    Source.CONTRACT: "contract_id",
    Source.INVOICE: "invoice_id",
    Source.ADAPTER: "adapter_id",
    Source.ENDPOINT: "endpoint_id",
}


@dataclass(frozen=True)
class Happening:
    """What a record of a feature tells: that something of a kind happened to an object, with its facts."""

    source: Source
    kind: str
    object_id: str
    facts: Facts


def list_records(types: Iterable[EventType]) -> list[str]:
    """List which records tell of these types, as `source:kind`."""
    return sorted({record for kind in types for record in RECORDS[kind]})


def list_types(happening: Happening) -> list[EventType]:
    """List of what a record tells: of nothing, or of several things, such as a pause and the limit behind it."""
    record = f"{happening.source.value}:{happening.kind}"
    kinds = [kind for kind, records in RECORDS.items() if record in records]
    if happening.source is not Source.JOB or happening.kind not in {*RUN_ENDS, "paused", "cancelled"}:
        return kinds
    return list(_list_of_stop(happening.kind, happening.facts))


def _list_of_stop(kind: str, facts: Facts) -> Iterator[EventType]:
    status = {"paused": "paused", "cancelled": "cancelled"}.get(kind) or facts.get("job_status")
    if status in OVER:
        yield EventType.JOB_ENDED
    elif status == "queued":
        yield EventType.JOB_PREEMPTED
    elif status == "paused":
        yield EventType.JOB_PAUSED
        reason = facts.get("cause") or facts.get("reason")
        reached = {"limit": EventType.LIMIT_REACHED, "budget": EventType.BUDGET_REACHED}
        reached["balance"] = EventType.BALANCE_REACHED
        if reason in reached:
            yield reached[reason]


def make_data(happening: Happening, project_id: str | None) -> dict[str, Any]:
    """Make what an event tells: ids, and a few words that decide whether its receiver asks for more."""
    facts = happening.facts
    told = {name: facts[name] for name in TOLD if facts.get(name) is not None}
    data = {ID_NAMES[happening.source]: happening.object_id, **told}
    if happening.source in {Source.JOB, Source.ADAPTER}:
        data["project_id"] = project_id
    status = {"paused": "paused", "cancelled": "cancelled", "started": "running", "resumed": "queued"}
    if happening.source is Source.JOB and (job_status := facts.get("job_status") or status.get(happening.kind)):
        data["status"] = job_status
    if "cause" not in data and "reason" in facts and happening.kind == "paused":
        data["cause"] = facts["reason"]
    return data


def compute_pause(attempts: int, delivery_id: str, *, asked: timedelta = timedelta()) -> timedelta | None:
    """Compute how long to wait after so many attempts that failed; None: it was the last one.

    `asked`: what a `Retry-After` wants, which makes a pause longer, a day at most. A part of it is added that is each
    delivery's own.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    pause = max(PAUSES[attempts - 1], min(asked, LONGEST_ASKED_PAUSE))
    share = hashlib.sha256(f"{delivery_id}/{attempts}".encode()).digest()[0]
    return pause + pause * JITTER_PERCENT / 100 * share / 255


def is_failing_for_good(failing_since: datetime | None, now: datetime, *, days: float) -> bool:
    """Tell whether an endpoint has taken nothing for so long that nothing more is sent to it."""
    return failing_since is not None and now - failing_since >= timedelta(days=days)
