"""The sweep: one rule after the other, in bounded steps, each of which may be repeated after a crash."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from broker.adapters import keeping
from broker.datasets import uploads
from broker.execution.run_folders import RunFolders
from broker.jobs.reading.wait_causes import forget_wait_causes
from broker.jobs.running import checkpoints
from broker.jobs.running.log_lines import forget_logs
from broker.jobs.running.runs import find_ends
from broker.persistence import outbox
from broker.retention.files import sweep_files
from broker.retention.model import Removed
from broker.retention.rules import Rules
from broker.retention.tables import RetentionRule, Swept
from broker.scheduling.cycle.recorder import forget_records
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)

BATCH = 500
# A log has up to 100,000 lines.
LOGS = 10


@dataclass(frozen=True)
class Step:
    """A rule that marks or deletes rows: the kind of what goes, what does it, and how many rows at a time."""

    kind: str
    act: Callable[[Work], Awaitable[int]]
    most: int = BATCH


def list_steps(rules: Rules, most: int | None = None) -> list[Step]:
    """List the steps of a sweep but for wait causes and files; each acts on at most its own number of rows.

    With `most` they act on so many, and are only tried.
    """
    rows, logs = most or BATCH, most or LOGS

    async def mark_checkpoints(work: Work) -> int:
        kept, ended = rules.kept_checkpoints, rules.ended_jobs
        return await checkpoints.mark_superseded(work, kept=kept, ended_before=ended, limit=rows)

    async def delete_versions(work: Work) -> int:
        kept, is_tried = rules.kept_adapter_versions, most is not None
        return await keeping.delete_superseded(work, kept=kept, limit=rows, is_tried=is_tried)

    async def forget_messages(work: Work) -> int:
        return await outbox.forget_done(work.session, before=rules.messages, limit=rows)

    async def forget_uploads(work: Work) -> int:
        return await uploads.forget_expired(work, before=rules.orphans, limit=rows)

    async def forget_run_logs(work: Work) -> int:
        return await forget_logs(work, before=rules.run_logs, limit=logs)

    async def forget_cycles(work: Work) -> int:
        return await forget_records(work, before=rules.recorded_cycles, most_bytes=rules.recorded_bytes, limit=rows)

    return [
        Step("checkpoints", mark_checkpoints, rows),
        Step("adapters", delete_versions, rows),
        Step("messages", forget_messages, rows),
        Step("uploads", forget_uploads, rows),
        Step("run_logs", forget_run_logs, logs),
        Step("cycles", forget_cycles, rows),
    ]


async def read_changed(work: Work) -> dict[str, float]:
    """Read the rules that ops has set, by their names."""
    return {rule.name: rule.value for rule in (await work.session.scalars(select(RetentionRule))).all()}


async def read_rules(system: System) -> Rules:
    """Read the rules of this moment: those that ops has set, and the settings for the others."""
    async with system.work() as work:
        return Rules.of(work.settings, work.now, await read_changed(work))


async def sweep(system: System) -> None:
    """Sweep what every process sees: rows are marked first, and their files found afterwards."""
    rules = await read_rules(system)
    for step in list_steps(rules):
        await _note(system, step.kind, Removed(await _in_batches(system, step.act, step.most)))
    await _note(system, "wait_causes", Removed(await _forget_wait_causes(system, rules.wait_causes)))
    await _note(system, "files", await sweep_files(system, before=rules.orphans))


async def _in_batches(system: System, act: Callable[[Work], Awaitable[int]], most: int = BATCH) -> int:
    """Act in one transaction after the other until one of them finds less than a batch; returns how many in all."""
    done = 0
    while True:
        async with system.work() as work:
            count = await act(work)
        done += count
        if count < most:
            return done


async def _forget_wait_causes(system: System, before: datetime) -> int:
    """Forget for what jobs waited before a moment, a batch of rows after the other; returns how many in all."""
    done = 0
    last: int | None = 0
    while last is not None:
        async with system.work() as work:
            forgotten = await forget_wait_causes(work, before=before, limit=BATCH, after=last)
        done, last = done + forgotten.count, forgotten.last_id
    return done


async def sweep_run_folders(system: System, runs_dir: Path) -> None:
    """Sweep the folders of runs on this machine: first what a run worked on, later its log, never those of live ones.

    A folder of a run that the database does not know goes with the logs.
    """
    folders, rules = RunFolders(runs_dir), await read_rules(system)
    removed = Removed()
    for run_ids in _cut(await folders.list_run_ids()):
        async with system.work() as work:
            ends = await find_ends(work, run_ids)
        for run_id in run_ids:
            ended_at = ends[run_id] if run_id in ends else await folders.find_last_change(run_id)
            if ended_at is None:
                continue
            if ended_at < rules.run_logs:
                removed += Removed(*await folders.remove(run_id))
            elif ended_at < rules.run_work and run_id in ends:
                removed += Removed(*await folders.remove_work(run_id))
    await _note(system, "run_folders", removed)


def _cut(run_ids: Sequence[str]) -> list[Sequence[str]]:
    return [run_ids[start : start + BATCH] for start in range(0, len(run_ids), BATCH)]


async def _note(system: System, kind: str, removed: Removed) -> None:
    """Add to what was swept so far, for the log and /metrics."""
    if not removed.count:
        return
    log.info("swept %d %s, %d bytes", removed.count, kind, removed.size_bytes)
    async with system.work() as work:
        row = {"kind": kind, "count": removed.count, "size_bytes": removed.size_bytes, "last_at": work.now}
        grown = {
            "count": Swept.count + removed.count,
            "size_bytes": Swept.size_bytes + removed.size_bytes,
            "last_at": work.now,
        }
        await work.session.execute(insert(Swept).values(row).on_conflict_do_update(index_elements=["kind"], set_=grown))


async def read_swept(work: Work) -> dict[str, Removed]:
    """Read what was swept so far, by kind."""
    rows = (await work.session.scalars(select(Swept))).all()
    return {row.kind: Removed(row.count, row.size_bytes) for row in rows}
