"""What each training process wrote down on its own disk, compared with what the books say of its run."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker.reports.verify import verify_ledger


@dataclass(frozen=True)
class Books:
    """The rules that are broken, the holds that are open, and each run's status and intervals."""

    broken_rules: dict[str, list[str]]
    open_holds: int
    runs: dict[str, str]
    usage: dict[str, list[dict[str, int]]]


async def read_books(session: AsyncSession) -> Books:
    """Read what the books have of all runs, as the system, which sees every tenant."""
    usage: dict[str, list[dict[str, int]]] = {}
    query = text(
        "SELECT run_id, sequence, gpu_seconds, tokens FROM usage_events"
        " WHERE run_id IN (SELECT id FROM runs) ORDER BY run_id, sequence"
    )
    for row in (await session.execute(query)).mappings():
        stored = {name: row[name] for name in ("sequence", "gpu_seconds", "tokens")}
        usage.setdefault(row["run_id"], []).append(stored)
    return Books(
        {check.rule: check.broken for check in await verify_ledger(session) if check.broken},
        await session.scalar(text("SELECT count(*) FROM holds WHERE state = 'placed'")) or 0,
        {row.id: row.status for row in await session.execute(text("SELECT id, status FROM runs"))},
        usage,
    )


def check_books(books: Books, runs_dir: Path, jobs: list[dict[str, Any]]) -> None:
    """Check that jobs that have all ended were metered just as their training processes wrote it down."""
    assert books.broken_rules == {}
    assert books.open_holds == 0
    folders = {folder.name for folder in runs_dir.iterdir()}
    assert folders <= set(books.runs), "a process was started for a run that no row knows"
    for run_id, status in books.runs.items():
        check_run(runs_dir / run_id / "work", status, books.usage.get(run_id, []))
    stored = [interval for run in books.usage.values() for interval in run]
    for meter, told in (("gpu_seconds", "used_gpu_seconds"), ("tokens", "used_tokens")):
        assert sum(interval[meter] for interval in stored) == sum(job[told] for job in jobs)
    outcomes = {status: list(books.runs.values()).count(status) for status in sorted(set(books.runs.values()))}
    sys.stdout.write(f"{len(jobs)} jobs, {len(books.runs)} runs {outcomes}, {len(stored)} intervals\n")
    assert outcomes["succeeded"] > 0


def check_run(work_dir: Path, status: str, stored: list[dict[str, int]]) -> None:
    """Check that the books have what the run's process wrote down: all of it where it knew that it had ended.

    A process that was killed may have sent a last interval whose acknowledgement it never read; more than it wrote
    down, or less than was acknowledged to it, is on the books of nobody.
    """
    written = read_lines(work_dir / "intervals.jsonl")
    acknowledged = max(read_lines(work_dir / "acknowledged.jsonl"), default=-1)
    assert stored == written[: len(stored)], work_dir
    assert len(stored) > acknowledged, work_dir
    assert read_lines(work_dir / "refused.jsonl") == []
    ended = read_lines(work_dir / "ended.jsonl")
    if ended:
        assert [status] == ended, work_dir
        assert stored == written, work_dir


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
