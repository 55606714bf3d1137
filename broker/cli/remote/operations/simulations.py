"""`broker queues simulate --window`: asks the broker what a recorded window would have been, and waits for it."""

import json
import time
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from broker.cli.failures import ExitCode
from broker.cli.output import make_console, one_line, speak, write_json, write_lines
from broker.cli.remote.connection import connect
from broker.cli.texts.simulations import make_comparison
from broker.cli.words import say
from broker.client.objects.simulations import QueueSimulation
from broker.client.typed import BrokerClient

NOW = "now"
PARTS = ("queues", "pools", "contracts", "jobs")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0


def simulate_window(
    window: tuple[str, str], changes: Sequence[str], *, as_json: bool, url: str | None, key: str | None
) -> None:
    """Have a window replayed under what is proposed, and show today beside it."""
    begins_at, ends_at = window
    with connect(url, key) as client:
        proposal = read_changes(changes, client)
        asked = client.request_simulation(proposal, begins_at, None if ends_at == NOW else ends_at)
        done = _await(client, asked)
    if as_json:
        write_json(done)
    elif done["result"] is not None:
        write_lines(make_console(), make_comparison(done))
    else:
        make_console(stderr=True).print(f"{done['id']}: {one_line(done['fault'] or '')}", markup=False)
    if done["result"] is None:
        raise typer.Exit(ExitCode.REFUSED)


def read_changes(changes: Sequence[str], client: BrokerClient) -> dict[str, Any]:
    """Read `NAME.FIELD=VALUE` into a proposal. A name is a contract's id, a pool's, or else a queue's.

    `queues.NAME.FIELD`, `pools.`, `contracts.` and `jobs.` say which; a value is JSON where it can be, and else a word.
    Raises: typer.BadParameter.
    """
    proposal: dict[str, Any] = {}
    pools: set[str] | None = None
    for change in changes:
        path, equals, value = change.partition("=")
        name, dot, field = path.rpartition(".")
        part, _, rest = name.partition(".")
        if not (equals and dot and name and field):
            raise typer.BadParameter(say("{change} is not NAME.FIELD=VALUE", change=repr(change)), param_hint="--set")
        if part in PARTS and rest:
            name = rest
        elif name.startswith("con_"):
            part = "contracts"
        elif name.startswith("job_"):
            part = "jobs"
        else:
            pools = {pool["name"] for pool in client.list_all("/pools")} if pools is None else pools
            part = "pools" if name in pools else "queues"
        proposal.setdefault(part, {}).setdefault(name, {})[field] = _read_value(value)
    if not proposal:
        raise typer.BadParameter(say("say what to change, such as standard.priority=150"), param_hint="--set")
    return proposal


def _read_value(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return written


def _await(client: BrokerClient, asked: QueueSimulation) -> QueueSimulation:
    """Wait until a simulation is done or has failed; where somebody looks, show how far it is."""
    console, pause = make_console(stderr=True), FIRST_PAUSE
    with _show_progress(console) as progress:
        task = progress.add_task(speak("replaying the queue", "正在重放队列"), total=1.0)
        while asked["status"] not in {"done", "failed"}:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            asked = client.get_simulation(asked["id"])
            progress.update(task, completed=asked["progress"])
    return asked


def _show_progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
