"""Which jobs of a batch are planned: as many as may run at one time, in their order; the others wait. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from broker.jobs.reading.queueing import QueuedJob, WaitNotice

BATCH_LIMIT = "batch_limit"


def hold_back(waiting: Sequence[QueuedJob], running: Mapping[str, int]) -> list[QueuedJob]:
    """List the jobs that their batches hold back now. `waiting` come by age; `running`: how many of each batch run."""
    taken = Counter(running)
    held: list[QueuedJob] = []
    for job in waiting:
        if job.batch is None:
            continue
        if taken[job.batch.id] >= job.batch.at_once:
            held.append(job)
        taken[job.batch.id] += 1
    return held


def notice_held_back(held: Sequence[QueuedJob], *, behind: int) -> list[WaitNotice]:
    """Tell jobs that their batches hold them back; their place is behind all that can be planned."""
    notices = []
    for place, job in enumerate(held, start=behind + 1):
        assert job.batch is not None, "a batch holds it back"
        most = "1 job of its batch runs" if job.batch.at_once == 1 else f"{job.batch.at_once} jobs of its batch run"
        message = f"At most {most} at one time; earlier ones run, or go first."
        reason = {"code": BATCH_LIMIT, "message": message, "position": place}
        notices.append(WaitNotice(job.id, reason, None))
    return notices
