"""Lost work of a run that has ended: what the house bears of it, told to its job, and kept as a record."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from broker.jobs.events import record_event
from broker.jobs.locked_run import LockedRun
from broker.jobs.lost_work_words import explain_lost_work
from broker.jobs.service import note_charges
from broker.jobs.tables import Checkpoint, CheckpointMark, LostWorkRecord
from broker.ledger import service as ledger
from broker.ledger.causes import OUR_DOING, WITH_CHECKPOINT, Cause
from broker.work import Work
from pricing.usage import Unit, Usage

MAY_LOSE_WORK = OUR_DOING | WITH_CHECKPOINT


async def note_marks(work: Work, locked: LockedRun, marks: Iterable[ledger.Mark]) -> None:
    """Note at which intervals of a locked run it wrote checkpoints, whether or not they become durable."""
    own = {"run_id": locked.run.id, "customer_id": locked.job.customer_id}
    rows = [own | {"sequence": mark.sequence, "step": mark.step} for mark in marks]
    if rows:
        await work.session.execute(insert(CheckpointMark).on_conflict_do_nothing(), rows)


async def bear_lost_work(work: Work, locked: LockedRun) -> None:
    """Let the house bear what a run that has ended lost, by the cause of its end: once, or for what has come since."""
    run, job = locked.run, locked.job
    if run.cause not in MAY_LOSE_WORK or not run.bears_lost_work or not (run.used_gpu_seconds or run.used_tokens):
        return
    checkpoints = await _read_checkpoints(work, run.id)
    hold = await ledger.lock_hold(work, job.id)
    lost = await ledger.bear_lost_work(work, hold, run.id, cause=Cause(run.cause), checkpoints=checkpoints)
    if lost is not None:
        note_charges(job, ledger.count_captured(hold))
        _record(work, locked, lost)


async def _read_checkpoints(work: Work, run_id: str) -> ledger.Checkpoints:
    durable = select(Checkpoint.step).where(Checkpoint.run_id == run_id, Checkpoint.unusable_at.is_(None))
    marks = select(CheckpointMark.step, CheckpointMark.sequence).where(CheckpointMark.run_id == run_id)
    return ledger.Checkpoints(
        durable_steps=(await work.session.scalars(durable)).all(),
        marks=[ledger.Mark(step, sequence) for step, sequence in await work.session.execute(marks)],
    )


def _record(work: Work, locked: LockedRun, lost: ledger.LostWork) -> None:
    usage = Usage(lost.count(Unit.GPU_SECONDS), lost.count(Unit.TOKENS))
    facts = {"run_id": locked.run.id, "cause": lost.cause.value, "after_step": lost.after_step}
    work.session.add(
        LostWorkRecord(
            customer_id=locked.job.customer_id,
            job_id=locked.job.id,
            gpu_seconds=usage.gpu_seconds,
            tokens=usage.tokens,
            created_at=work.now,
            **facts,
        )
    )
    told = {"explanation": explain_lost_work(usage, lost.cause, lost.after_step)}
    record_event(work, locked.job, "lost_work_borne", facts | vars(usage) | told)
