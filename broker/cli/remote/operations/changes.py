"""What the commands that change queues, pools, quotas and jobs share: numbers that may be none, and what came of it."""

from collections.abc import Mapping
from typing import Any, cast

import typer

from broker.cli.output import make_console, write_json
from broker.cli.texts.effects import describe_effects
from broker.cli.words import say
from broker.client.objects.values import Effects

NONE = "none"


def read_numbers(typed: Mapping[str, str | None]) -> dict[str, int | None]:
    """Read the numbers that were typed, by field: `none` takes one away. Raises: typer.BadParameter."""
    return {name: _read_number(name, text) for name, text in typed.items() if text is not None}


def _read_number(name: str, typed: str) -> int | None:
    if typed == NONE:
        return None
    try:
        return int(typed)
    except ValueError as error:
        option = "--" + name.removesuffix("_seconds").replace("_", "-")
        raise typer.BadParameter(
            say("{typed} is no whole number; say one, or none", typed=repr(typed)), param_hint=option
        ) from error


def write_changed(changed: Any, told: str, *, as_json: bool) -> None:
    """Write what a change has come to, as JSON or told; what it does to jobs goes to standard error."""
    for line in describe_effects(cast("Effects", changed)):
        make_console(stderr=True).print(line, soft_wrap=True)
    if as_json:
        write_json(changed)
    else:
        make_console().print(told, soft_wrap=True)
