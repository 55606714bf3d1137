"""Whom of the waiting jobs their batches hold back, as the database has them now."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from broker.jobs.reading import queueing
from broker.jobs.reading.line import QueuedJob
from broker.scheduling.cycle.batches import describe_batches, hold_back
from broker.scheduling.planning.values.snapshot import Batch
from broker.work import Work


async def read_batches(
    work: Work, limited: Iterable[QueuedJob], passed_over: AbstractSet[str]
) -> tuple[set[str], tuple[Batch, ...]]:
    """Read which jobs their batches hold back, and what the planner is to know of these; none of those passed over.

    `limited`: the waiting jobs whose batch has a limit.
    """
    waiting = sorted(limited, key=lambda job: (job.created_at, job.id))
    running = await queueing.list_running_of(work, {job.batch.id for job in waiting if job.batch is not None})
    held = hold_back(waiting, running, passed_over)
    out = passed_over | {job.id for job in held}
    ready = [job for job in waiting if job.id not in out]
    return {job.id for job in held}, describe_batches(held, ready, running)
