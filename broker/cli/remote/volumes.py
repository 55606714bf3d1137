"""Volumes and scopes of grants as people type them and read them: GPU-hours or tokens, of all usage or of some."""

from typing import Annotated, Any

import typer

from broker.cli.words import say
from broker.client.objects.contracts import Grant, GrantScope, Purchase

HOURS, TOKENS = "--hours", "--tokens"
Hours = Annotated[str | None, typer.Option(HOURS, metavar="HOURS", help="GPU-hours; or say --tokens.")]
Tokens = Annotated[int | None, typer.Option(TOKENS, help="Tokens; or say --hours.")]
ProjectScope = Annotated[str | None, typer.Option("--project", help="Only for this project's usage: its name or id.")]
TypeScope = Annotated[str | None, typer.Option("--gpu-type", help="Only for usage of this GPU type.")]


def read_volume(hours: str | None, tokens: int | None) -> dict[str, Any]:
    """Read a volume as the API takes it. Raises: typer.BadParameter, where it is none or two."""
    if (hours is None) == (tokens is None):
        raise typer.BadParameter(say("say either --hours or --tokens"), param_hint=HOURS)
    return {"tokens": tokens} if hours is None else {"gpu_hours": hours}


def read_scope(project_id: str | None, gpu_type: str | None) -> dict[str, Any]:
    """Read a scope as the API takes it."""
    named = {"project_id": project_id, "gpu_type": gpu_type}
    return {"scope": {name: value for name, value in named.items() if value is not None}}


def describe_volume(of: Grant | Purchase) -> str:
    """Describe the whole volume of a grant or of an order."""
    return (
        say("{tokens} tokens", tokens=f"{of['quantity']:,}")
        if of["gpu_hours"] is None
        else say("{hours} GPU-hours", hours=of["gpu_hours"])
    )


def describe_scope(scope: GrantScope) -> str:
    """Describe what usage is paid for, but for its meter."""
    return ", ".join(str(part) for part in (scope["project_id"], scope["gpu_type"]) if part) or say("all")
