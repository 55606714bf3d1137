"""Webhooks: where programs listen, what they are told, each attempt."""

from typing import Any, Literal, NotRequired, TypedDict


class WebhookEndpoint(TypedDict):
    """Where a program listens, and to what; `secret` in the answer that makes one alone."""

    id: str
    customer_id: str
    project_id: str | None
    name: str
    url: str
    event_types: list[str]
    status: Literal["enabled", "disabled"]
    disabled_for: Literal["by_hand", "failing", "gone"] | None
    failing_since: str | None
    last_taken_at: str | None
    former_until: str | None
    created_at: str


class NewWebhookEndpoint(WebhookEndpoint):
    """An endpoint with the secret that it was just given."""

    secret: NotRequired[str | None]


class Event(TypedDict):
    """What happened that an endpoint listened to."""

    id: str
    customer_id: str
    project_id: str | None
    type: str
    data: dict[str, Any]
    happened_at: str


class WebhookDelivery(TypedDict):
    """An event on its way to an endpoint."""

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    not_before: str
    ended_at: str | None
    created_at: str


class WebhookAttempt(TypedDict):
    """One attempt, and what came of it."""

    id: str
    delivery_id: str
    event_id: str
    event_type: str
    number: int
    status_code: int | None
    answer: str | None
    error: str | None
    duration_ms: int
    created_at: str


class WebhookReplay(TypedDict):
    """How many events are sent again."""

    endpoint_id: str
    events: int
