"""When a job is expected to end: half of such jobs have ended by `p50`, nine of ten by `p90`. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.jobs.rules.model import HOLDS_DEVICES, MOST_EXPECTED_SECONDS, JobStatus
from broker.jobs.tables import Job
from broker.quotes.estimating.estimate import JobEstimate
from pricing.estimate.run_estimate import GpuSeconds


@dataclass(frozen=True)
class ExpectedEnd:
    """Two moments (UTC), the later one last."""

    p50: datetime
    p90: datetime


@dataclass(frozen=True)
class ExpectedCourse:
    """How long a job still takes from its start on, which is now where `start` has gone by, or is None: it runs."""

    start: datetime | None
    p50: timedelta
    p90: timedelta

    def find_end(self, now: datetime) -> ExpectedEnd:
        start = now if self.start is None else max(self.start, now)
        return ExpectedEnd(start + self.p50, start + self.p90)


def expect_end(job: Job, now: datetime) -> ExpectedEnd | None:
    """Expect the end of a job that runs, or whose start is forecast; None where it is about to stop or nobody knows."""
    course = expect_course(job)
    return None if course is None else course.find_end(now)


def expect_course(job: Job) -> ExpectedCourse | None:
    """Expect of a job what `expect_end` does, as it stays until something of the job changes."""
    status = JobStatus(job.status)
    is_forecast = status == JobStatus.QUEUED and job.expected_start is not None
    if job.stop_requested is not None or not (is_forecast or status in HOLDS_DEVICES):
        return None
    left = _find_left(job)
    p50, p90 = (min(-(-seconds // job.gpus), MOST_EXPECTED_SECONDS) for seconds in (left.p50, left.p90))
    return ExpectedCourse(job.expected_start if is_forecast else None, timedelta(seconds=p50), timedelta(seconds=p90))


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
