"""Queues, pools and contracts as ops sees them, in tables. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.text import Text

from broker.cli.output import one_line
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.values import (
    DASH,
    describe_ago,
    describe_count,
    describe_duration,
    describe_local,
    parse_moment,
)
from broker.cli.words import say
from broker.client.objects.contracts import ContractQuota
from broker.client.objects.operations import (
    ContractStanding,
    Overview,
    Pair,
    PoolView,
    QueueSettings,
    QueueView,
    TypeStanding,
)

QUEUE_COLUMNS = (
    Column("queue"),
    Column("state"),
    Column("priority", right=True),
    Column("weight", right=True),
    Column("waiting", right=True),
    Column("oldest", right=True),
    Column("running", right=True),
    Column("GPUs", right=True),
    Column("limits"),
)
PLAIN_COLUMNS = tuple(column for column in QUEUE_COLUMNS if column.heading in {"queue", "state", "priority", "weight"})
POOL_COLUMNS = (
    Column("pool"),
    Column("type"),
    Column("state"),
    Column("held", right=True),
    Column("GPUs", right=True),
    Column("nodes"),
    Column("maintenance"),
)
STANDING_COLUMNS = (
    Column("type"),
    Column("guaranteed", right=True),
    Column("deserved", right=True),
    Column("held", right=True),
    Column("share", right=True),
    Column("borrowed", right=True),
    Column("lent", right=True),
    Column("idle", right=True),
    Column("waiting", right=True),
)
MOST_REASONS = 8


def make_queue_table(queues: Sequence[QueueView]) -> list[Text]:
    """Make the table of queues with what waits and runs."""
    return make_table(QUEUE_COLUMNS, [_make_queue_row(queue) for queue in queues])


def _make_queue_row(queue: QueueView) -> list[str]:
    oldest = queue["oldest_waiting_at"]
    return [
        *make_plain_queue_row(queue),
        str(queue["waiting_jobs"]),
        DASH if oldest is None else oldest[:16].replace("T", " "),
        str(queue["running_jobs"]),
        str(queue["held_gpus"]),
        describe_limits(queue),
    ]


def make_plain_queue_row(queue: QueueSettings) -> list[str]:
    """Make the row of a queue without what waits in it."""
    return [one_line(queue["name"]), queue["state"], str(queue["priority"]), str(queue["weight"])]


def describe_limits(queue: QueueSettings) -> str:
    """Describe what limits a queue: how much of it runs, where, and how long its jobs wait at most."""
    lends, hours = queue.get("lending_limit"), queue.get("max_gpu_hours")  # a broker of before tells none
    told = [
        None if queue["max_jobs"] is None else describe_count(queue["max_jobs"], "job"),
        None if queue["max_gpus"] is None else describe_count(queue["max_gpus"], "GPU"),
        None
        if hours is None
        else say("{hours} within {window}", hours=describe_count(hours, "GPU-hour"), window=_describe_window(queue)),
        None
        if queue["allowed_pools"] is None
        else say("only {pools}", pools=", ".join(map(one_line, queue["allowed_pools"]))),
        None
        if queue["max_wait_seconds"] is None
        else say("first after {wait}", wait=describe_duration(queue["max_wait_seconds"])),
        None if lends is None else say("lends {gpus} of a type", gpus=describe_count(lends, "GPU")),
    ]
    return "; ".join(part for part in told if part) or say("none")


def _describe_window(queue: QueueSettings) -> str:
    return describe_count(queue.get("window_hours") or 0, "hour")


def describe_quota(quota: ContractQuota) -> str:
    """Describe how much of a contract may run at one time."""
    told = [
        None if quota["max_jobs"] is None else describe_count(quota["max_jobs"], "job"),
        None if quota["max_gpus"] is None else describe_count(quota["max_gpus"], "GPU"),
    ]
    return ", ".join(part for part in told if part) or say("no limit")


def make_pool_table(pools: Sequence[PoolView], now: datetime) -> list[Text]:
    """Make the table of pools with what is held of them."""
    return make_table(POOL_COLUMNS, [_make_pool_row(pool, now) for pool in pools])


def _make_pool_row(pool: PoolView, now: datetime) -> list[str]:
    nodes = ", ".join(f"{count} {state}" for state, count in sorted(pool["nodes"].items()))
    begins = pool["next_maintenance_at"]
    return [
        one_line(pool["name"]),
        pool["sku"],
        pool["state"],
        str(pool["held_gpus"]),
        str(pool["total_gpus"]),
        nodes or say("one machine"),
        DASH if begins is None else (say("now") if parse_moment(begins) <= now else describe_local(begins, now)),
    ]


def make_standing_row(standing: TypeStanding) -> list[str]:
    """Make the row of how a contract stands on a GPU type."""
    share = standing["share_percent"]
    return [
        standing["sku"],
        str(standing["guaranteed_gpus"]),
        standing["deserved_gpus"],
        str(standing["held_gpus"]),
        DASH if share is None else f"{share} %",
        str(standing["borrowed_gpus"]),
        str(standing["lent_gpus"]),
        str(standing["idle_gpus"]),
        str(standing["waiting_gpus"]),
    ]


def make_contract_table(contracts: Sequence[ContractStanding]) -> list[Text]:
    """Make the table of how contracts stand, each with its customer."""
    rows = [[one_line(each["customer"]), *make_standing_row(each)] for each in contracts]
    return make_table((Column("customer"), *STANDING_COLUMNS), rows)


def describe_pair(pair: Pair) -> str:
    """Describe who starves beside whom."""
    starved, borrowing = one_line(pair["starved"]), one_line(pair["borrowing"])
    return say(
        "{starved} lacks what it is due of {sku}, {borrowing} holds more: {gpus} GPUs",
        starved=starved,
        sku=pair["sku"],
        borrowing=borrowing,
        gpus=pair["gpus"],
    )


def describe_reclaim(standing: TypeStanding, *, chinese: bool) -> str:
    """Describe what of a type its owners may take back from a contract, and for how much of that they wait; or ''."""
    borrowed, wanted = standing["borrowed_gpus"], standing["reclaimed_gpus"]
    if not borrowed:
        return ""
    if chinese:
        return f"{standing['sku']}：借用 {borrowed} 张，出借方随时可收回；其中 {wanted} 张出借方正在等待。"
    waits = (
        say("their owners wait for {wanted} of them now", wanted=wanted)
        if wanted
        else say("their owners do not wait for them now")
    )
    return say(
        "{sku}: {borrowed} of its GPUs are borrowed and may be taken back; {waits}.",
        sku=standing["sku"],
        borrowed=borrowed,
        waits=waits,
    )


def describe_reasons(waiting: Mapping[str, int]) -> str:
    """Describe why jobs wait, the most common reason first."""
    ranked = sorted(waiting.items(), key=lambda told: (-told[1], told[0]))
    told = [f"{code} {count:,}" for code, count in ranked[:MOST_REASONS]]
    return ", ".join(told) or say("nobody waits")


def make_page(seen: Overview, now: datetime, height: int | None) -> list[Text]:
    """Make the page of all that ops sees, of at most so many lines; None: of as many as it takes."""
    age = describe_ago(seen["as_of"], now)
    jobs = sum(queue["running_jobs"] for queue in seen["queues"])
    title = say(
        "{waiting} waiting, {jobs} running, {as_of}Z ({age})",
        waiting=f"{sum(seen['waiting_by_reason'].values()):,}",
        jobs=f"{jobs:,}",
        as_of=seen["as_of"][:19],
        age=age,
    )
    parts = [
        [Text(title, "bold")],
        [Text(say("Waiting: {reasons}", reasons=describe_reasons(seen["waiting_by_reason"])))],
        make_queue_table(seen["queues"]),
        make_pool_table(seen["pools"], now),
        make_contract_table(seen["contracts"]) if seen["contracts"] else [],
        [Text(describe_pair(pair), "yellow") for pair in seen["starved_and_borrowing"]],
        [
            Text(say("{gpus} guaranteed GPUs of {sku} are idle", gpus=gpus, sku=sku))
            for sku, gpus in seen["idle_guaranteed_gpus"].items()
            if gpus
        ],
    ]
    lines: list[Text] = []
    for part in parts:
        lines += [Text(), *part] if lines and part else part
    return lines if height is None else lines[:height]
