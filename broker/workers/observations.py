"""Observations of a run: validation losses and samples, which become events of its job, each once."""

from collections.abc import Sequence
from dataclasses import asdict

from broker.jobs.events import list_observed, record_event
from broker.jobs.running.locked_run import LockedRun
from broker.work import Work
from broker.workers.model import Sample, Validation

Observation = tuple[str, int, str | None]
KINDS = ("validated", "sampled")


async def record_observations(
    work: Work, locked: LockedRun, validations: Sequence[Validation], samples: Sequence[Sample]
) -> None:
    """Record new observations as events; those that an earlier heartbeat told, whose answer got lost, change nothing.

    An observation is known by its run, kind, step and prompt. The caller holds the lock of the job.
    """
    if not (validations or samples):
        return
    known = await list_observed(work, locked.job.id, locked.run.id, KINDS)
    for validation in validations:
        if _is_new(known, ("validated", validation.step, None)):
            _record_validation(work, locked, validation)
    for sample in samples:
        if _is_new(known, ("sampled", sample.step, sample.prompt)):
            facts = {name: value for name, value in asdict(sample).items() if value is not None}
            record_event(work, locked.job, "sampled", {"run_id": locked.run.id, **facts})


def _record_validation(work: Work, locked: LockedRun, validation: Validation) -> None:
    place = {"run_id": locked.run.id, "step": validation.step}
    record_event(work, locked.job, "validated", {**place, "loss": validation.loss})
    if validation.advice is not None:
        record_event(work, locked.job, "overfitting_noticed", {**place, "message": validation.advice})


def _is_new(known: set[Observation], observation: Observation) -> bool:
    """Tell whether an observation is not known yet, and add it to the known ones."""
    if observation in known:
        return False
    known.add(observation)
    return True
