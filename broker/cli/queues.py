"""`broker queues`, put together: each command's module is imported when it is chosen."""

import typer

from broker.cli.deferred import DeferredGroup, Place

REMOTE = "broker.cli.remote.operations.queues"
COMMANDS = {
    "list": Place(f"{REMOTE}:list_queues", "List the queues: what waits and runs, limits; how contracts stand (ops)."),
    "set": Place(f"{REMOTE}:set_queue", "Change a queue: state, priority, weight, limits, pools (ops)."),
    "standing": Place(
        f"{REMOTE}:show_standing", "Show what a contract is due, holds, borrows and lends, and why it waits."
    ),
    "simulate": Place(
        "broker.cli.simulate:simulate_queue",
        "Replay a trace under a policy, or what the broker recorded under what you propose (ops).",
    ),
}


class QueuesGroup(DeferredGroup):
    places = COMMANDS


app = typer.Typer(
    cls=QueuesGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Queues: list, change, how contracts stand in them, what another policy would do.",
)


@app.callback()
def _group() -> None:
    """Keep the group a group: Typer makes a lone command of a group that has no callback."""
