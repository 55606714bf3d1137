"""Arguments that the commands of `broker jobs` share."""

from collections.abc import Sequence
from typing import Annotated

import typer


def read_labels(typed: Sequence[str]) -> dict[str, str]:
    """Read labels as they are typed, `team=search`; the broker checks their letters. Raises: typer.BadParameter."""
    labels = {}
    for each in typed:
        name, equals, value = each.partition("=")
        if not equals or name in labels:
            told = f"{name} is given twice" if equals else f"{each!r} is no label; write it like team=search"
            raise typer.BadParameter(told, param_hint="--label")
        labels[name] = value
    return labels


JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or the beginning of it.")]
