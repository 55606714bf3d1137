"""What a simulated run is judged by: the measures of the field, from each job's submission and end. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from broker.scheduling.simulation.deadlines import TOLERANCE

# Slowdowns count a job as if it ran at least this long: otherwise jobs of a second decide the mean.
# Source: Feitelson, Rudolph: Metrics and Benchmarking for Parallel Job Scheduling, 1998; the bound that papers use.
BOUND_SECONDS = 10


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that is done: when it came, first started and ended, in seconds, and the work that it was.

    `run_seconds` is its work alone: not the restarts after preemptions. `promised`: the policy had promised to meet the
    deadline.
    """

    job_id: str
    submitted_at: float
    started_at: float
    ended_at: float
    run_seconds: float
    gpus: int
    deadline_at: float | None = None
    preemptions: int = 0
    promised: bool = False

    @property
    def wait_seconds(self) -> float:
        """Seconds from submission to end that were no work of the job: in the line, preempted, or restarting."""
        return max(self.ended_at - self.submitted_at - self.run_seconds, 0.0)

    @property
    def bounded_slowdown(self) -> float:
        """How many times as long as its work the job took, work of under 10 s counted as 10 s, and at least 1."""
        return max((self.ended_at - self.submitted_at) / max(self.run_seconds, BOUND_SECONDS), 1.0)

    @property
    def met_deadline(self) -> bool:
        """Whether it ended in time, as exactly as that is promised."""
        return self.deadline_at is not None and self.ended_at <= self.deadline_at + TOLERANCE


@dataclass(frozen=True)
class Measures:
    """The measures of one run; seconds, and shares of 1.

    `jct` is a job's completion time: from submission to end. `makespan` goes from the first submission to the last end.
    Percentiles are nearest-rank. `utilisation` is work (GPUs × run time) of all GPUs over the makespan: restarts are
    none. `deadline_met_ratio` counts all jobs that have a deadline, also those refused for it; None where none has one.
    """

    jobs: int
    avg_bounded_slowdown: float
    avg_jct_s: float
    makespan_s: float
    p50_wait_s: float
    p99_wait_s: float
    max_slowdown: float
    utilisation: float
    deadline_met_ratio: float | None


def measure_run(ended: Sequence[EndedJob], total_gpus: int) -> Measures:
    """Measure a run. Raises: ValueError, where no job ended."""
    if not ended:
        raise ValueError("no job ended: there is nothing to measure")
    waits = sorted(job.wait_seconds for job in ended)
    slowdowns = [job.bounded_slowdown for job in ended]
    makespan = max(job.ended_at for job in ended) - min(job.submitted_at for job in ended)
    work = math.fsum(job.run_seconds * job.gpus for job in ended)
    bound = [job for job in ended if job.deadline_at is not None]
    return Measures(
        jobs=len(ended),
        avg_bounded_slowdown=math.fsum(slowdowns) / len(ended),
        avg_jct_s=math.fsum(job.ended_at - job.submitted_at for job in ended) / len(ended),
        makespan_s=makespan,
        p50_wait_s=find_percentile(waits, 50),
        p99_wait_s=find_percentile(waits, 99),
        max_slowdown=max(slowdowns),
        utilisation=work / (makespan * total_gpus) if makespan > 0 else 0.0,
        deadline_met_ratio=sum(job.met_deadline for job in bound) / len(bound) if bound else None,
    )


def find_percentile(ascending: Sequence[float], per_cent: int) -> float:
    """Find the smallest value that at least so many per cent of the values do not exceed (nearest rank)."""
    return ascending[max(math.ceil(len(ascending) * per_cent / 100), 1) - 1]
