"""Lost work of a run that has ended: what the house bears of it, told to its job, and kept as a record."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert

from broker.jobs.events import record_event
from broker.jobs.rules.lost_work_records import LostSince, plan_changes
from broker.jobs.rules.lost_work_words import explain_lost_work
from broker.jobs.running.checkpoints import mark_unusable
from broker.jobs.running.locked_run import LockedRun, get_run
from broker.jobs.service import note_charges
from broker.jobs.tables import Checkpoint, CheckpointMark, Job, LostWorkRecord, Run
from broker.ledger import service as ledger
from broker.ledger.books.causes import OUR_DOING, WITH_CHECKPOINT, Cause
from broker.work import Work
from pricing.usage import Unit, Usage

MAY_LOSE_WORK = OUR_DOING | WITH_CHECKPOINT


@dataclass(frozen=True)
class LostOfRun:
    """What one run lost for a cause, all that was taken back of it together. `after_step` None: no checkpoint."""

    run_id: str
    cause: Cause
    after_step: int | None
    usage: Usage


@dataclass(frozen=True)
class WhoPays:
    """Who pays for a job's usage but its customer: what the house bears, by cause, and what its runs lost."""

    borne: Mapping[Cause, ledger.BorneUsage]
    lost: Sequence[LostOfRun]


async def note_marks(work: Work, locked: LockedRun, marks: Iterable[ledger.Mark]) -> None:
    """Note at which intervals of a locked run it wrote checkpoints, whether or not they become durable."""
    own = {"run_id": locked.run.id, "customer_id": locked.job.customer_id}
    rows = [own | {"sequence": mark.sequence, "step": mark.step} for mark in marks]
    if rows:
        await work.session.execute(insert(CheckpointMark).on_conflict_do_nothing(), rows)


async def list_lost(work: Work, locked: LockedRun, sequences: Iterable[int]) -> set[int]:
    """List those intervals of a run that are the house's anyway: it ended by our doing, and does not keep them."""
    if locked.run.cause not in OUR_DOING or not locked.run.bears_lost_work:
        return set()
    kept = ledger.find_kept(await _read_checkpoints(work, locked.run.id))
    return {sequence for sequence in sequences if not kept.has(sequence)}


async def bear_lost_work(work: Work, locked: LockedRun) -> None:
    """Let the house bear what a run that has ended lost, by the cause of its end: once, or for what has come since."""
    run = locked.run
    if run.cause in MAY_LOSE_WORK:
        await _bear(work, locked.job, run, Cause(run.cause))


async def bear_unusable_checkpoint(work: Work, locked: LockedRun) -> None:
    """Let the house bear what is lost with the checkpoint that a run was to go on from, and could not.

    To be asked once, at the run's end: the one before that checkpoint is whole.
    """
    for run_id in await mark_unusable(work, locked):
        await _bear(work, locked.job, await get_run(work, run_id), Cause.CHECKPOINT_UNUSABLE)


async def correct_lost_work(work: Work, locked: LockedRun) -> None:
    """Let the records of what a run lost say what the house bears of it, once a correction has changed that."""
    job, run = locked.job, locked.run
    recorded = [
        LostSince(each.cause, each.after_step, each.usage)
        for each in await _read_lost(work, LostWorkRecord.run_id == run.id)
    ]
    for change in plan_changes(recorded, await ledger.read_lost(work, run.id) if recorded else {}):
        facts = {"run_id": run.id, "cause": change.cause.value, "after_step": change.after_step}
        _add_record(work, job, facts, change.usage)
        record_event(work, job, "lost_work_corrected", facts | vars(change.usage))


async def _bear(work: Work, job: Job, run: Run, cause: Cause) -> None:
    if not run.bears_lost_work or not (run.used_gpu_seconds or run.used_tokens):
        return
    checkpoints = await _read_checkpoints(work, run.id)
    hold = await ledger.lock_hold(work, job.id)
    lost = await ledger.bear_lost_work(work, hold, run.id, cause=cause, checkpoints=checkpoints)
    if lost is not None:
        note_charges(job, ledger.count_captured(hold))
        _record(work, job, run, lost)


async def _read_checkpoints(work: Work, run_id: str) -> ledger.Checkpoints:
    durable = select(Checkpoint.step).where(Checkpoint.run_id == run_id, Checkpoint.unusable_at.is_(None))
    marks = select(CheckpointMark.step, CheckpointMark.sequence).where(CheckpointMark.run_id == run_id)
    return ledger.Checkpoints(
        durable_steps=(await work.session.scalars(durable)).all(),
        marks=[ledger.Mark(step, sequence) for step, sequence in await work.session.execute(marks)],
    )


async def read_who_pays(work: Work, job: Job) -> WhoPays:
    """Read what the house bears of a job, and what of that its runs lost, run by run."""
    if not (job.borne_gpu_seconds or job.borne_tokens):
        return WhoPays({}, ())
    lost = [each for each in await _read_lost(work, LostWorkRecord.job_id == job.id) if each.usage != Usage()]
    return WhoPays(await ledger.read_borne_by_cause(work, job.id), lost)


async def _read_lost(work: Work, of_these: ColumnElement[bool]) -> list[LostOfRun]:
    """Read what runs lost by cause and step, what was corrected of it since among it, the earliest first."""
    group = (LostWorkRecord.run_id, LostWorkRecord.cause, LostWorkRecord.after_step)
    sums = (func.sum(LostWorkRecord.gpu_seconds), func.sum(LostWorkRecord.tokens))
    query = select(*group, *sums).where(of_these).group_by(*group)
    rows = await work.session.execute(query.order_by(func.min(LostWorkRecord.id)))
    return [
        LostOfRun(run_id, Cause(cause), step, Usage(int(gpu), int(tokens))) for run_id, cause, step, gpu, tokens in rows
    ]


def _record(work: Work, job: Job, run: Run, lost: ledger.LostWork) -> None:
    usage = Usage(lost.count(Unit.GPU_SECONDS), lost.count(Unit.TOKENS))
    facts = {"run_id": run.id, "cause": lost.cause.value, "after_step": lost.after_step}
    _add_record(work, job, facts, usage)
    told = {"explanation": explain_lost_work(usage, lost.cause, lost.after_step)}
    record_event(work, job, "lost_work_borne", facts | vars(usage) | told)


def _add_record(work: Work, job: Job, facts: Mapping[str, Any], usage: Usage) -> None:
    own = {"customer_id": job.customer_id, "job_id": job.id, "created_at": work.now}
    work.session.add(LostWorkRecord(gpu_seconds=usage.gpu_seconds, tokens=usage.tokens, **own, **facts))
