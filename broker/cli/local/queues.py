"""`broker queues`, put together: each command's module is imported when it is chosen."""

import typer

from broker.cli.deferred import DeferredGroup, Place

COMMANDS = {
    "simulate": Place(
        "broker.cli.local.simulate:simulate_trace",
        "Replay a trace of jobs under a policy, and measure waits, slowdown and deadlines met.",
    ),
}


class QueuesGroup(DeferredGroup):
    places = COMMANDS


app = typer.Typer(
    cls=QueuesGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Queues: what another policy would do to those who wait.",
)


@app.callback()
def _group() -> None:
    """Keep the group a group: Typer makes a lone command of a group that has no callback."""
