"""Environments on pages of customers and of ops: in words, with their versions, and what their forms ask the API."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from broker.adapters import service as adapters
from broker.adapters.model import Stage
from broker.console.frame.forms import Submitted
from broker.console.frame.menu import N_
from broker.environments.model import Kind, PushState, ServesAs
from broker.environments.schemas import EnvironmentOut
from broker.work import Work

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
# What every page of environments says of a code.
WORDS: dict[str, Any] = {"kinds": KINDS, "stages": STAGES, "serves_as": SERVES_AS, "push_states": PUSH_STATES}
# So many names of an environment stand in a list; its own page has all of them.
NAMES_LISTED = 3
# The parts of a server's options that are texts; the request of another server has a form of its own.
PLACES = ("folder", "folder_there", "layout")


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
    named = form.given("name", "stage", "kind", "url", "token", "serves_as", "customer_id", "project_id")
    call = {"load": write_call(form)} if form.get("kind") == Kind.HTTP else {}
    options = read_places(form) | call
    return {**named, "options": options} if options else named


def read_places(form: Submitted) -> dict[str, Any]:
    """Read what of a server's options was filled in."""
    return {name: form.get(f"options.{name}") for name in PLACES if form.get(f"options.{name}")}


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


async def load_versions(work: Work, pushes: Collection[Any]) -> Mapping[str, Any]:
    """Load the versions that pushes are of and that servers have, by their ids; what was deleted is not among them."""
    ids = {each for push in pushes for each in (push.adapter_id, push.live_adapter_id) if each is not None}
    return await adapters.load_kept(work, ids)
