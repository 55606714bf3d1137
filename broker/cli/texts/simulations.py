"""A recorded window as it was beside what is proposed, in tables. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.values import DASH, describe_duration, describe_money
from broker.cli.words import say
from broker.client.objects.simulations import GroupComparison, PoolComparison, QueueSimulation

ARROW = " → "
MOST_LATER = 10
GROUP_COLUMNS = (
    Column("contract"),
    Column("queue"),
    Column("started", right=True),
    Column("waiting", right=True),
    Column("mean wait", right=True),
    Column("slowdown", right=True),
    Column("GPU-hours", right=True),
    Column("of all", right=True),
    Column("cost", right=True),
    Column("stopped", right=True),
    Column("dates missed", right=True),
    Column("guarantee missed", right=True),
)
POOL_COLUMNS = Column("pool"), Column("GPU-hours", right=True), Column("utilisation", right=True)


def make_comparison(simulation: QueueSimulation) -> list[Text]:
    """Make the lines of what came out: by contract and queue, by pool, and who would have started later."""
    result = simulation["result"]
    assert result is not None, "it is done"
    lines = make_table(GROUP_COLUMNS, [_make_group_row(group) for group in result["groups"]])
    lines += [Text(), *make_table(POOL_COLUMNS, [_make_pool_row(pool) for pool in result["pools"]]), Text()]
    count = result["later_count"]
    later = "{count} jobs would have started over a minute later" if count else "No job would have started later."
    lines.append(Text(say(later, count=count)))
    lines += make_table(
        (Column("job"), Column("queue"), Column("today"), Column("proposed")),
        [[job["job_id"], job["queue"], job["today"], job["proposed"] or DASH] for job in result["later"][:MOST_LATER]],
    )[0 if count else 1 :]
    return [*lines, Text(_tell_truth(result["starts_reproduced"]), "dim")]


def _tell_truth(reproduced: float | None) -> str:
    if reproduced is None:
        return say("Nothing started in this window.")
    told = "The replay of today's settings has {share} of the starts in the very cycle in which they were."
    return say(told, share=f"{reproduced:.1%}")


def _make_group_row(group: GroupComparison) -> list[str]:
    return [
        group["contract_id"],
        group["queue"],
        _beside(group, "started", str),
        _beside(group, "still_waiting", str),
        _beside(group, "avg_wait_s", describe_duration),
        _beside(group, "avg_bounded_slowdown", _show_number),
        _beside(group, "gpu_seconds", _show_hours),
        _beside(group, "utilisation", _show_share),
        _beside(group, "cost", describe_money),
        _beside(group, "preemptions", str),
        _beside(group, "deadlines_missed", str),
        _beside(group, "guarantees_missed", str),
    ]


def _make_pool_row(pool: PoolComparison) -> list[str]:
    return [pool["pool"], _beside(pool, "gpu_seconds", _show_hours), _beside(pool, "utilisation", _show_share)]


def _beside(compared: Any, field: str, show: Callable[[Any], str]) -> str:
    """Show what was and what would have been; once, where they look alike."""
    shown: Sequence[str] = [
        DASH if (value := compared[side][field]) is None else show(value) for side in ("today", "proposed")
    ]
    return shown[0] if shown[0] == shown[1] else ARROW.join(shown)


def _show_number(value: float) -> str:
    return f"{value:.2f}"


def _show_hours(gpu_seconds: float) -> str:
    return f"{gpu_seconds / 3600:.2f}"


def _show_share(share: float) -> str:
    return f"{share:.1%}"
