"""Environments in words, and the forms that name and change one. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from broker.adapters.model import Stage
from broker.console.frame.forms import Submitted
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.environments.model import Kind, PushState, ServesAs
from broker.environments.schemas import EnvironmentOut

STAGES = {Stage.TEST: N_("test"), Stage.PRODUCTION: N_("production")}
KINDS = {
    Kind.TRAINER_SERVE: "trainer serve",
    Kind.VLLM: "vLLM",
    Kind.WEBHOOK: N_("webhook: told, and fetches the file"),
    Kind.HTTP: N_("another server, by a request of its own"),
}
SERVES_AS = {
    ServesAs.NAME: N_("always the same: each promotion swaps what is behind it"),
    ServesAs.VERSION: N_("name and version"),
    ServesAs.ID: N_("the adapter's id"),
}
PUSH_STATES = {
    PushState.PUSHING: ("warn", N_("on its way")),
    PushState.LIVE: ("good", N_("live")),
    PushState.FAILED: ("bad", N_("failed")),
    PushState.GONE: ("warn", N_("gone")),
}
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


def describe_health(row: EnvironmentOut) -> tuple[str, str]:
    """Tell how an environment is, with the tone of that. A webhook is told things, and never asked."""
    if row.status == "disabled":
        return "warn", N_("switched off")
    if row.error is not None:
        return "bad", N_("does not answer")
    if row.answered_at is not None:
        return "good", N_("answers")
    return ("", N_("is told, never asked")) if row.kind is Kind.WEBHOOK else ("warn", N_("not asked yet"))


def write_environment(form: Submitted) -> dict[str, Any]:
    """Write what `POST /v1/environments` is asked."""
    body: dict[str, Any] = form.given("name", "stage", "kind", "url", "token", "serves_as", "project_id")
    if form.get("kind") == Kind.HTTP:
        body["options"] = {"load": write_call(form)}
    return body


def write_call(form: Submitted) -> dict[str, Any]:
    """Write the request that loads an adapter; a body that is no JSON is left to the API to refuse."""
    call: dict[str, Any] = {"path": form.get("options.load.path")}
    if form.get("options.load.body"):
        call["body"] = read_json(form.get("options.load.body"))
    return call


def read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def list_options(row: EnvironmentOut) -> Mapping[str, Any]:
    """List what a kind of server is told besides, as it is shown; nothing of one of the house's."""
    return {} if row.options is None else {name: value for name, value in row.options.items() if value is not None}
