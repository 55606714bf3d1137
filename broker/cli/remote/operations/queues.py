"""`broker queues list`, `set` and `standing`."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import make_console, speak, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.operations.changes import NONE, read_numbers, write_changed
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.operations import (
    PLAIN_COLUMNS,
    STANDING_COLUMNS,
    describe_limits,
    describe_pair,
    describe_reclaim,
    make_contract_table,
    make_plain_queue_row,
    make_queue_table,
    make_standing_row,
)
from broker.cli.words import say, speaks_chinese
from broker.client.errors import ApiError
from broker.client.objects.operations import Overview, Queue, Standing
from broker.client.typed import BrokerClient

FORBIDDEN = 403
NOTHING = "It holds nothing, waits for nothing, and nothing is guaranteed to it."
NOTHING_ZH = "没有占用、等待或保障的 GPU。"


class State(StrEnum):
    OPEN = "open"
    HOLDING = "holding"
    DRAINING = "draining"


def list_queues(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the queues: what waits and runs, limits; and how contracts stand: due, held, borrowed, lent (ops)."""
    with connect(url, key) as client:
        seen = _find_overview(client)
        queues = None if seen else collect_page(client.list_all("/queues"))
    if seen is None:
        assert queues is not None
        write_table(queues, (*PLAIN_COLUMNS, Column("limits")), _make_plain_row, as_json=as_json)
    elif as_json:
        write_json(seen)
    else:
        write_lines(make_console(), _make_lines(seen))


def _make_plain_row(queue: Queue) -> list[str]:
    return [*make_plain_queue_row(queue), describe_limits(queue)]


def _find_overview(client: BrokerClient) -> Overview | None:
    """Find what ops sees; None with a key that may not."""
    try:
        return client.get_overview()
    except ApiError as error:
        if error.status == FORBIDDEN:
            return None
        raise


def _make_lines(seen: Overview) -> list[Text]:
    lines = make_queue_table(seen["queues"])
    if seen["contracts"]:
        lines += [Text(), *make_contract_table(seen["contracts"])]
    return lines + [Text(describe_pair(pair), "yellow") for pair in seen["starved_and_borrowing"]]


def set_queue(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.")],
    state: Annotated[State | None, typer.Option(help="holding starts nothing; draining takes nothing.")] = None,
    priority: Annotated[int | None, typer.Option(help="The higher goes first.")] = None,
    weight: Annotated[int | None, typer.Option(help="In hundredths: 200 is due twice as much as 100.")] = None,
    max_jobs: Annotated[str | None, typer.Option(metavar="N|none", help="Most jobs that run at one time.")] = None,
    max_gpus: Annotated[str | None, typer.Option(metavar="N|none", help="Most GPUs held at one time.")] = None,
    max_gpu_hours: Annotated[
        str | None, typer.Option(metavar="N|none", help="Most GPU-hours within any --window-hours.")
    ] = None,
    window_hours: Annotated[str | None, typer.Option(metavar="N", help="How long that window is.")] = None,
    max_wait: Annotated[
        str | None, typer.Option(metavar="SECONDS|none", help="A job that has waited so long goes before all.")
    ] = None,
    lending_limit: Annotated[
        str | None,
        typer.Option(metavar="N|none", help="Most GPUs of a type that others use of an idle guarantee."),
    ] = None,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", help="The only pools to use: repeat it; none: all.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change a queue, from the next cycle on; what is not named stays. `broker audit undo` takes it back.

    Where more runs than a lowered limit allows, the runs that began last save and wait again.
    """
    numbers = {
        "max_jobs": max_jobs,
        "max_gpus": max_gpus,
        "max_gpu_hours": max_gpu_hours,
        "window_hours": window_hours,
        "max_wait_seconds": max_wait,
        "lending_limit": lending_limit,
    }
    changes: dict[str, Any] = {"state": state, "priority": priority, "weight": weight}
    changes = {name: value for name, value in changes.items() if value is not None}
    changes |= read_numbers(numbers)
    if pool:
        changes["allowed_pools"] = None if pool == [NONE] else pool
    if not changes:
        raise typer.BadParameter(say("say what to change, such as --weight 200"), param_hint="QUEUE")
    with connect(url, key) as client:
        changed = client.change_queue(queue, changes)
    write_changed(changed, _tell(changed), as_json=as_json)


def _tell(queue: Queue) -> str:
    told = say(
        "priority {priority}, weight {weight}, limits: {limits}",
        priority=queue["priority"],
        weight=queue["weight"],
        limits=describe_limits(queue),
    )
    return say("{name} is {state}: {told}.", name=queue["name"], state=queue["state"], told=told)


def show_standing(
    contract: Annotated[str, typer.Argument(metavar="CONTRACT", help="The contract's id, or the beginning of it.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show how a contract stands by GPU type: due, held, borrowed, lent; why it waits, and what may be taken back."""
    with connect(url, key) as client:
        standing = client.get_standing(resolve_id(client, "con", contract))
    if as_json:
        write_json(standing)
    else:
        write_lines(make_console(), _make_standing(standing))


def _make_standing(standing: Standing) -> list[Text]:
    if not standing["types"]:
        return [Text(speak(NOTHING, NOTHING_ZH))]
    lines = make_table(STANDING_COLUMNS, [make_standing_row(each) for each in standing["types"]])
    for each in standing["types"]:
        why = None if each["why"] is None else speak(each["why"], each["why_zh"])
        notes = [f"{each['sku']}: {why}" if why else "", describe_reclaim(each, chinese=speaks_chinese())]
        lines += [Text(note) for note in notes if note]
    return lines
