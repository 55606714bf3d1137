"""Looks at a run from outside: validation losses and samples, which become events of its job, each once."""

from collections.abc import Sequence

from sqlalchemy import select

from broker.jobs.runs import HeldRun
from broker.jobs.service import record_event
from broker.jobs.tables import JobEvent
from broker.work import Work
from broker.workers.schemas import SampleIn, ValidationIn

Look = tuple[str, int, str | None]
KINDS = ("validated", "sampled")


async def record_looks(
    work: Work, held: HeldRun, validations: Sequence[ValidationIn], samples: Sequence[SampleIn]
) -> None:
    """Record what is new as events; what an earlier heartbeat told, whose answer got lost, changes nothing.

    A look is known by its run, kind, step and prompt. The caller holds the lock of the job.
    """
    if not (validations or samples):
        return
    known = await _list_known(work, held)
    for validation in validations:
        if _is_new(known, ("validated", validation.step, None)):
            _record_validation(work, held, validation)
    for sample in samples:
        if _is_new(known, ("sampled", sample.step, sample.prompt)):
            facts = sample.model_dump(exclude_none=True)
            record_event(work, held.job, "sampled", {"run_id": held.run.id, **facts})


def _record_validation(work: Work, held: HeldRun, validation: ValidationIn) -> None:
    place = {"run_id": held.run.id, "step": validation.step}
    record_event(work, held.job, "validated", {**place, "loss": validation.loss})
    if validation.advice is not None:
        record_event(work, held.job, "overfitting_noticed", {**place, "message": validation.advice})


def _is_new(known: set[Look], look: Look) -> bool:
    if look in known:
        return False
    known.add(look)
    return True


async def _list_known(work: Work, held: HeldRun) -> set[Look]:
    data = JobEvent.data
    query = select(JobEvent.kind, data["step"].as_integer(), data["prompt"].as_string()).where(
        JobEvent.job_id == held.job.id,
        JobEvent.kind.in_(KINDS),
        data["run_id"].as_string() == held.run.id,
    )
    return {(kind, step, prompt) for kind, step, prompt in await work.session.execute(query)}
