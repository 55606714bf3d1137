"""Promotions of adapters to stages, and the environments that serve them."""

from typing import Any, Literal, NotRequired, TypedDict

Stage = Literal["test", "production"]


class EnvironmentPush(TypedDict):
    """What an environment is to serve of a name, and how far that is."""

    id: str
    customer_id: str
    project_id: str | None
    environment_id: str
    environment_name: str
    name: str
    stage: Stage
    adapter_id: str | None
    live_adapter_id: str | None
    served_as: str | None
    state: Literal["pushing", "live", "failed", "gone"]
    error: str | None
    attempts: int
    not_before: str
    live_at: str | None
    changed_at: str


class Promotion(TypedDict):
    """That a version became current of its name at a stage, or none any more; and where it is live."""

    id: str
    customer_id: str
    project_id: str | None
    name: str
    stage: Stage
    adapter_id: str | None
    before_id: str | None
    undoes: str | None
    reason: str | None
    actor_role: str
    actor_id: str
    is_current: bool
    pushes: list[EnvironmentPush]
    created_at: str


class Environment(TypedDict):
    """A server that serves what a stage has; `secret` in the answer that makes one alone."""

    id: str
    customer_id: str | None
    project_id: str | None
    name: str
    stage: Stage
    kind: Literal["trainer_serve", "vllm", "http", "webhook"]
    url: str | None
    serves_as: Literal["name", "version", "id"]
    options: dict[str, Any] | None
    has_token: bool
    status: Literal["enabled", "disabled"]
    answered_at: str | None
    error: str | None
    created_at: str


class NewEnvironment(Environment):
    """An environment as it was made, with the secret that was made for it."""

    secret: NotRequired[str | None]
