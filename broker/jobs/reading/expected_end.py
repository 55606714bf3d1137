"""When a job is expected to end: half of such jobs have ended by `p50`, nine of ten by `p90`. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.jobs.rules.model import MOST_EXPECTED_SECONDS, JobStatus
from broker.jobs.tables import Job
from broker.quotes.estimating.estimate import JobEstimate
from pricing.estimate.run_estimate import GpuSeconds


@dataclass(frozen=True)
class ExpectedEnd:
    """Two moments (UTC), the later one last."""

    p50: datetime
    p90: datetime


def expect_end(job: Job, now: datetime) -> ExpectedEnd | None:
    """Expect the end of a job that runs, or whose start is forecast; None where it is about to stop or nobody knows."""
    start = _find_start(job, now)
    if start is None or job.stop_requested is not None:
        return None
    left = _find_left(job)
    p50, p90 = (min(-(-seconds // job.gpus), MOST_EXPECTED_SECONDS) for seconds in (left.p50, left.p90))
    return ExpectedEnd(start + timedelta(seconds=p50), start + timedelta(seconds=p90))


def _find_start(job: Job, now: datetime) -> datetime | None:
    match JobStatus(job.status):
        case JobStatus.RUNNING | JobStatus.DISPATCHED:
            return now
        case JobStatus.QUEUED if job.expected_start is not None:
            return max(job.expected_start, now)
    return None


def _find_left(job: Job) -> GpuSeconds:
    if job.status != JobStatus.RUNNING or not job.progress:
        return (job.remaining or job.estimate).gpu_seconds
    return estimate_seconds_left(
        job.estimate, done_steps=job.progress.get("step", 0), used_gpu_seconds=job.used_gpu_seconds
    )


def estimate_seconds_left(estimate: JobEstimate, *, done_steps: int, used_gpu_seconds: int) -> GpuSeconds:
    """Estimate the GPU-seconds that a run in progress still needs.

    It is the estimate's share of the steps left; for a job that is slower than its p90 by half of its steps or later,
    it is that at the job's own pace: before then the time to load tells more of it than the steps.
    """
    steps, quoted = estimate.steps, estimate.gpu_seconds
    done = min(done_steps, steps)
    is_slow = done > 0 and used_gpu_seconds * steps >= quoted.p90 * max(done, steps // 2)
    pace = -(-used_gpu_seconds * (steps - done) // done) if is_slow else 0
    p50, p90 = (max(pace, -(-whole * (steps - done) // steps)) for whole in (quoted.p50, quoted.p90))
    return GpuSeconds(p50, p90)
