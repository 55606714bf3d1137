"""Which jobs of a batch are planned: as many as may run at one time, in their order; the others are held back. Pure."""

from collections.abc import Collection, Mapping, Sequence

from broker.jobs.reading.line import QueuedJob
from broker.scheduling.cycle.snapshot import describe_waiting
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.snapshot import Batch


def hold_back(
    waiting: Sequence[QueuedJob], running: Mapping[str, Collection[str]], passed_over: Collection[str] = ()
) -> list[QueuedJob]:
    """List the jobs that their batches hold back now. `waiting` come by age; `running`: which of each batch run.

    Those that were passed over, since they cannot be planned, take no place of their batch.
    """
    taken = {batch_id: len(jobs) for batch_id, jobs in running.items()}
    held: list[QueuedJob] = []
    for job in waiting:
        if job.batch is None or job.id in passed_over:
            continue
        before = taken.get(job.batch.id, 0)
        if before >= job.batch.at_once:
            held.append(job)
        taken[job.batch.id] = before + 1
    return held


def describe_batches(
    held: Sequence[QueuedJob], ready: Sequence[QueuedJob], running: Mapping[str, Collection[str]]
) -> tuple[Batch, ...]:
    """Describe the batches that hold jobs back as the planner knows them. `ready`: the jobs that may be planned."""
    limits = {job.batch.id: job.batch for job in held if job.batch is not None}
    present = {batch_id: list(running.get(batch_id, ())) for batch_id in limits}
    behind: dict[str, list[WaitingJob]] = {batch_id: [] for batch_id in limits}
    for job in ready:
        if job.batch is not None and job.batch.id in limits:
            present[job.batch.id].append(job.id)
    for job in held:
        if job.batch is not None:
            behind[job.batch.id].append(describe_waiting(job))
    return tuple(
        Batch(batch_id, limit.at_once, tuple(present[batch_id]), tuple(behind[batch_id]))
        for batch_id, limit in limits.items()
    )
