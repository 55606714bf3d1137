"""Arguments that the commands of `broker jobs` share."""

from collections.abc import Sequence
from typing import Annotated

import typer

from broker.cli.remote.completing import complete_ids
from broker.cli.words import say
from pricing.estimate.type_choice import Preference


def read_labels(typed: Sequence[str]) -> dict[str, str]:
    """Read labels as they are typed, `team=search`; the broker checks their letters. Raises: typer.BadParameter."""
    labels = {}
    for each in typed:
        name, equals, value = each.partition("=")
        if not equals or name in labels:
            told = (
                say("{name} is given twice", name=name)
                if equals
                else say("{each} is no label; write it like team=search", each=repr(each))
            )
            raise typer.BadParameter(told, param_hint="--label")
        labels[name] = value
    return labels


GpuTypes = Annotated[
    list[str] | None, typer.Option("--gpu-type", help="A type that it may run on; repeat it. Default: all quoted.")
]
Prefer = Annotated[Preference, typer.Option("--prefer", help="Which of them it takes first.")]
FinishBy = Annotated[
    str | None, typer.Option("--finish-by", metavar="TIME", help="When it should be done: 2026-11-24T18:00:00Z.")
]
Queue = Annotated[str | None, typer.Option("--queue", help="The queue; default: the plan's own.")]
SubmitAtOnce = Annotated[bool, typer.Option("--yes", "-y", help="Submit without asking.")]
JobId = Annotated[
    str,
    typer.Argument(metavar="JOB", help="The job's id, or the beginning of it.", autocompletion=complete_ids("job")),
]
