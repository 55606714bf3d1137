"""`broker pools`: machines by pool and state; drained, opened again, declared down, worked on."""

from typing import Annotated, Any

import typer

from broker.cli.output import ConfirmAtOnce, ask, one_line, write_json
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.operations.changes import write_changed
from broker.cli.texts.columns import Column
from broker.cli.texts.values import DASH, describe_count
from broker.cli.words import say
from broker.client.objects.operations import Pool

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Pools: list, drain, resume, declare down, plan maintenance."
)

PoolName = Annotated[str, typer.Argument(metavar="POOL", help="Name of the pool.")]
Nodes = Annotated[list[str] | None, typer.Option("--node", help="Only this machine of it; repeat it.")]
COLUMNS = (Column("pool"), Column("node"), Column("type"), Column("GPUs", right=True), Column("state"), Column("why"))


@app.command("list")
def list_pools(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the pools and their machines, each with its state, and when they are worked on."""
    with connect(url, key) as client:
        pools = collect_page(client.list_all("/pools"))
    if as_json:
        write_json(pools)
        return
    rows = [row for pool in pools["data"] for row in _make_rows(pool)]
    write_table(collect_page(rows), COLUMNS, lambda row: row, as_json=False)


def _make_rows(pool: Pool) -> list[list[str]]:
    """Make a row for the pool and one for each of its machines; a pool that is one machine has the first alone."""
    why = one_line(pool["state_reason"] or "")
    windows = [
        say("{begin} to {end}", begin=each["begins_at"][:16], end=each["ends_at"][:16]) for each in pool["maintenance"]
    ]
    told = " ".join(
        part for part in (why, say("Maintenance: {windows}.", windows=", ".join(windows)) if windows else "") if part
    )
    own = [one_line(pool["name"]), DASH, pool["sku"], str(pool["total_gpus"]), pool["state"], told]
    nodes = pool["nodes"] or ()
    return [own, *([one_line(pool["name"]), one_line(n["name"]), "", str(n["gpus"]), n["state"], ""] for n in nodes)]


@app.command("drain")
def drain_pool(pool: PoolName, node: Nodes = None, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Start nothing new on a pool, or on machines of it; what runs there ends by itself."""
    _change(pool, _say(node, "draining") if node else {"open": False}, as_json=as_json, url=url, key=key)


@app.command("resume")
def resume_pool(pool: PoolName, node: Nodes = None, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Start jobs on a pool again, or on machines of it that were drained or down."""
    _change(pool, _say(node, "open") if node else {"open": True}, as_json=as_json, url=url, key=key)


@app.command("down")
def declare_down(
    pool: PoolName,
    node: Nodes = None,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Declare machines down: their runs are lost, what they lost is on us, and their jobs go first elsewhere.

    A pool that is one machine needs no --node.
    """
    named = node or [pool]
    ask(
        say(
            "Declare {named} of {pool} down? What runs there is lost to its last checkpoint.",
            named=", ".join(named),
            pool=pool,
        ),
        yes=yes,
    )
    _change(pool, _say(named, "down"), as_json=as_json, url=url, key=key)


@app.command("maintenance")
def plan_maintenance(
    pool: PoolName,
    begins_at: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Begin: 2026-12-01T02:00:00Z.")
    ] = None,
    ends_at: Annotated[str | None, typer.Option("--until", metavar="TIME", help="End.")] = None,
    node: Nodes = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take back all that is planned.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Plan a time at which a pool is worked on, beside those planned: nothing starts that would run into it."""
    if clear == (begins_at is not None and ends_at is not None):
        raise typer.BadParameter(say("say --from and --until, or --clear"), param_hint="--from")
    with connect(url, key) as client:
        planned = [] if clear else [_copy(each) for each in client.get_pool(pool)["maintenance"]]
        if not clear:
            planned.append({"begins_at": begins_at, "ends_at": ends_at, "nodes": node})
        changed = client.change_pool(pool, {"maintenance": [_known(each) for each in planned]})
    write_changed(changed, _tell(changed), as_json=as_json)


@app.command("stops")
def bound_stops(
    pool: PoolName,
    least_run: Annotated[
        int | None, typer.Option("--least-run", metavar="SECONDS", help="A run makes room for nobody before that.")
    ] = None,
    per_hour: Annotated[
        int | None, typer.Option("--per-hour", metavar="N", help="So many make room in an hour; 0: none.")
    ] = None,
    as_everywhere: Annotated[
        bool, typer.Option("--as-everywhere", help="Take back what was set for this pool alone.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Bound how many runs of a pool are stopped for others, and after how long at the earliest."""
    said = {"least_run_seconds": least_run, "stops_per_hour": per_hour}
    told = {name: value for name, value in said.items() if value is not None}
    if as_everywhere == bool(told):
        raise typer.BadParameter(say("say --least-run or --per-hour, or --as-everywhere"), param_hint="--per-hour")
    _change(pool, dict.fromkeys(said) if as_everywhere else told, as_json=as_json, url=url, key=key)


def _copy(window: Any) -> dict[str, Any]:
    return {name: window[name] for name in ("begins_at", "ends_at", "nodes")}


def _known(window: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in window.items() if value is not None}


def _say(nodes: list[str], state: str) -> dict[str, Any]:
    return {"nodes": dict.fromkeys(nodes, state)}


def _change(pool: str, changes: dict[str, Any], *, as_json: bool, url: str | None, key: str | None) -> None:
    with connect(url, key) as client:
        changed = client.change_pool(pool, changes)
    write_changed(changed, _tell(changed), as_json=as_json)


def _tell(pool: Pool) -> str:
    lines = [pool["state_reason"] or say("Pool {name} is {state}.", name=pool["name"], state=pool["state"])]
    lines += [say("  {name} is {state}", name=each["name"], state=each["state"]) for each in pool["nodes"] or ()]
    lines += [
        say("  maintenance from {begins_at} to {ends_at}", begins_at=window["begins_at"], ends_at=window["ends_at"])
        for window in pool["maintenance"]
    ]
    lines += _tell_stops(pool)
    if pool["lost_runs"]:
        lost = describe_count(len(pool["lost_runs"]), "run")
        lines.append(say("  lost: {lost}; what they did goes on elsewhere, first in line", lost=lost))
    return "\n".join(lines)


def _tell_stops(pool: Pool) -> list[str]:
    """Tell what bounds stops of its runs, as far as that was set for it alone."""
    least_run, per_hour = pool["least_run_seconds"], pool["stops_per_hour"]
    told = (
        []
        if least_run is None
        else [say("  makes room for others after {seconds} s at the earliest", seconds=least_run)]
    )
    return (
        told
        if per_hour is None
        else [*told, say("  makes room for others {times} an hour", times=describe_count(per_hour, "time"))]
    )
