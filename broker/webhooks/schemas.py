"""API shapes of endpoints, events, deliveries and attempts. A secret stands in the answer that makes it alone."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from broker.addresses import MOST_URL
from broker.http.plain_text import PlainLine
from broker.http.shapes import Moment, RequestBody, created_at_field, read_fields
from broker.webhooks.endpoints import EndpointChanges, NewEndpoint
from broker.webhooks.model import CHOICES, DeliveryStatus, DisabledFor, EndpointStatus, EventType
from broker.webhooks.tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent

LONGEST_OVERLAP_HOURS = 24 * 7

Name = Annotated[
    PlainLine, Field(min_length=1, max_length=100, pattern=r"\S", description="For people.", examples=["CI"])
]
Url = Annotated[
    PlainLine,
    Field(
        min_length=1,
        max_length=MOST_URL,
        description="Where it listens: `https://…`, at a public address.",
        examples=["https://example.com/hooks/lora"],
    ),
]


def _check_types(types: list[EventType] | None) -> list[EventType] | None:
    if types is not None and EventType.WEBHOOK_TEST in types:
        raise ValueError("webhook.test is sent by hand alone; leave it out")
    return types


class EndpointIn(RequestBody):
    name: Name
    url: Url
    event_types: list[EventType] = Field(
        default=list(CHOICES),
        min_length=1,
        max_length=len(CHOICES),
        description="What it is told of; unset: all there is today.",
        examples=[["job.ended", "invoice.issued"]],
    )
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])
    project_id: str | None = Field(
        default=None,
        description="Told of this project's jobs and adapters alone; null: of all that is the customer's.",
        examples=["prj_01k"],
    )

    _check = field_validator("event_types")(_check_types)

    @model_validator(mode="before")
    @classmethod
    def _narrow_to_project(cls, body: Any) -> Any:
        """Let an endpoint of a project that chooses nothing hear of all that is of projects."""
        if isinstance(body, dict) and body.get("project_id") is not None and "event_types" not in body:
            from_jobs = ["job.", "adapter.", "limit.", "budget.reached", "balance.reached", "maintenance."]
            chosen = [kind.value for kind in CHOICES if kind.value.startswith(tuple(from_jobs))]
            return {**body, "event_types": chosen}
        return body

    def read_endpoint(self, customer_id: str) -> NewEndpoint:
        return NewEndpoint(customer_id, self.name, self.url, self.event_types, self.project_id)


class EndpointChangesIn(RequestBody):
    name: Name | None = Field(default=None, description="For people.", examples=["CI"])
    url: Url | None = Field(default=None, description="Where it listens.", examples=["https://example.com/hooks"])
    event_types: list[EventType] | None = Field(
        default=None,
        min_length=1,
        max_length=len(CHOICES),
        description="What it is told of, all anew.",
        examples=[["job.ended"]],
    )
    status: EndpointStatus | None = Field(
        default=None,
        description="disabled: it is sent nothing; enabled: what is due goes on, and what it missed can be replayed.",
        examples=["enabled"],
    )

    _check = field_validator("event_types")(_check_types)

    def read_changes(self) -> EndpointChanges:
        return EndpointChanges(self.name, self.url, self.event_types, self.status)


class RotationIn(RequestBody):
    overlap_hours: float = Field(
        default=24,
        ge=0,
        le=LONGEST_OVERLAP_HOURS,
        description="So long the former secret signs beside the new one; 0: no more from now on.",
        examples=[24],
    )

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=self.overlap_hours)


class ReplayIn(RequestBody):
    event_id: str | None = Field(
        default=None, description="This one event, whatever the endpoint listens to.", examples=["evt_01k"]
    )
    since: Moment | None = Field(
        default=None,
        description="All that it listens to and that happened since then (UTC); either this or `event_id`.",
        examples=["2026-11-24T00:00:00Z"],
    )
    until: Moment | None = Field(
        default=None, description="And before then; null: up to now.", examples=["2026-11-25T00:00:00Z"]
    )

    @model_validator(mode="after")
    def _check_choice(self) -> "ReplayIn":
        if (self.event_id is None) == (self.since is None):
            raise ValueError("name either event_id, or since")
        if self.until is not None and (self.since is None or self.until <= self.since):
            raise ValueError("until goes with since, and comes after it")
        return self


class EndpointOut(BaseModel):
    id: str = Field(description="Endpoint id.", examples=["whe_01k"])
    object: Literal["webhook_endpoint"] = Field(
        default="webhook_endpoint", description="Kind of object.", examples=["webhook_endpoint"]
    )
    customer_id: str = Field(description="Whose program it is.", examples=["cus_01k"])
    project_id: str | None = Field(description="Of which project alone it is told.", examples=["prj_01k"])
    name: str = Field(description="For people.", examples=["CI"])
    url: str = Field(description="Where it listens.", examples=["https://example.com/hooks/lora"])
    event_types: list[EventType] = Field(description="What it is told of.", examples=[["job.ended"]])
    status: EndpointStatus = Field(description="Whether it is sent to.", examples=["enabled"])
    disabled_for: DisabledFor | None = Field(
        description="Why it is not: by_hand; failing, for days; gone: it answered 410.", examples=[None]
    )
    disabled_at: datetime | None = Field(description="Since when it is not (UTC).", examples=[None])
    failing_since: datetime | None = Field(
        description="When the first attempt failed since the last that did not (UTC).", examples=[None]
    )
    last_taken_at: datetime | None = Field(
        description="When it took something last (UTC).", examples=["2026-11-24T10:00:00Z"]
    )
    former_until: datetime | None = Field(
        description="Until when the secret of before signs, too (UTC).", examples=[None]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: WebhookEndpoint, **more: Any) -> Self:
        return cls.model_validate(read_fields(cls, row) | more)


class NewEndpointOut(EndpointOut):
    secret: str | None = Field(
        default=None,
        description="What signs it, shown this once; null where a retry gets the same answer again: then rotate it.",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


class EventOut(BaseModel):
    id: str = Field(description="Event id: the `webhook-id` of each attempt.", examples=["evt_01k"])
    object: Literal["event"] = Field(default="event", description="Kind of object.", examples=["event"])
    customer_id: str = Field(description="Whose programs are told.", examples=["cus_01k"])
    project_id: str | None = Field(description="Of which project it is.", examples=["prj_01k"])
    type: EventType = Field(description="What happened.", examples=["job.ended"])
    data: dict[str, Any] = Field(
        description="Ids, and a few words: see the webhooks of this document.",
        examples=[{"job_id": "job_01k", "project_id": None, "status": "succeeded"}],
    )
    happened_at: datetime = Field(description="When it happened (UTC).", examples=["2026-11-24T10:00:00Z"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: WebhookEvent) -> "EventOut":
        return cls.model_validate(read_fields(cls, row))


class DeliveryOut(BaseModel):
    id: str = Field(description="Delivery id.", examples=["whd_01k"])
    object: Literal["webhook_delivery"] = Field(
        default="webhook_delivery", description="Kind of object.", examples=["webhook_delivery"]
    )
    customer_id: str = Field(description="Whose program is told.", examples=["cus_01k"])
    endpoint_id: str = Field(description="Where to.", examples=["whe_01k"])
    event_id: str = Field(description="What.", examples=["evt_01k"])
    event_type: EventType = Field(description="What happened.", examples=["job.ended"])
    status: DeliveryStatus = Field(
        description="pending: it is (still) to be sent; delivered; failed: after all attempts.", examples=["delivered"]
    )
    attempts: int = Field(description="How often it was tried, since it was replayed if it was.", examples=[1])
    not_before: datetime = Field(
        description="When it is tried next while it is pending (UTC).", examples=["2026-11-24T10:05:00Z"]
    )
    ended_at: datetime | None = Field(
        description="When it was delivered or given up (UTC).", examples=["2026-11-24T10:00:01Z"]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: WebhookDelivery) -> "DeliveryOut":
        return cls.model_validate(read_fields(cls, row))


class ReplayOut(BaseModel):
    object: Literal["webhook_replay"] = Field(
        default="webhook_replay", description="Kind of object.", examples=["webhook_replay"]
    )
    customer_id: str = Field(description="Whose program is told.", examples=["cus_01k"])
    endpoint_id: str = Field(description="Where to.", examples=["whe_01k"])
    events: int = Field(description="So many events are sent again.", examples=[12])


class AttemptOut(BaseModel):
    id: str = Field(description="Attempt id.", examples=["wha_01k"])
    object: Literal["webhook_attempt"] = Field(
        default="webhook_attempt", description="Kind of object.", examples=["webhook_attempt"]
    )
    customer_id: str = Field(description="Whose program was told.", examples=["cus_01k"])
    endpoint_id: str = Field(description="Where to.", examples=["whe_01k"])
    delivery_id: str = Field(description="Of which delivery.", examples=["whd_01k"])
    event_id: str = Field(description="What.", examples=["evt_01k"])
    event_type: EventType = Field(description="What happened.", examples=["job.ended"])
    number: int = Field(description="The how manieth of its delivery.", examples=[1])
    status_code: int | None = Field(description="The status of the answer; null: there was none.", examples=[200])
    answer: str | None = Field(description="The beginning of the answer's body, 1 KiB at most.", examples=["ok"])
    error: str | None = Field(description="Why it counts as failed.", examples=[None])
    duration_ms: int = Field(description="How long it took, in thousandths of a second.", examples=[84])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: WebhookAttempt) -> "AttemptOut":
        return cls.model_validate(read_fields(cls, row))
