"""The event loop: submissions and ends of a trace on a virtual clock, and a policy that is asked after each. Pure."""

import math
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Protocol

from broker.scheduling.simulation.cluster import Cluster
from broker.scheduling.simulation.estimates import Estimates
from broker.scheduling.simulation.job import SimulatedJob
from broker.scheduling.simulation.measures import EndedJob
from broker.scheduling.simulation.trace import TraceJob


class Policy(Protocol):
    """Who decides. It is told of every submission and end, and asked to plan after those of one moment."""

    def submit(self, job: SimulatedJob, now: float) -> None:
        """Take in a job that has just come."""

    def end(self, job: SimulatedJob, now: float) -> None:
        """Hear that a job has ended; its GPUs are free already."""

    def plan(self, cluster: Cluster, now: float) -> float:
        """Start and stop jobs; answers when it wants to be asked again though nothing happens, infinity for never."""


class StuckReplay(Exception):
    """Jobs wait, nothing runs, and the policy starts none: the message names the first."""


def replay(jobs: Sequence[TraceJob], cluster: Cluster, policy: Policy, estimates: Estimates) -> list[EndedJob]:
    """Replay jobs, in order of submission, under a policy; returns them in order of their ends.

    Deterministic: at one moment ends come before submissions, and the policy is asked once. Raises: StuckReplay.
    """
    return _Replay(jobs, cluster, policy, estimates).run()


class _Replay:
    def __init__(self, jobs: Sequence[TraceJob], cluster: Cluster, policy: Policy, estimates: Estimates) -> None:
        self.jobs = jobs
        self.cluster = cluster
        self.policy = policy
        self.estimates = estimates
        self.submitted = 0
        self.live: dict[int, SimulatedJob] = {}
        self.ends: list[tuple[float, int, int]] = []  # when, the job's number, its how many-th run
        self.first_starts: dict[int, float] = {}
        self.ended: list[EndedJob] = []

    def run(self) -> list[EndedJob]:
        wake_at = math.inf
        while self.submitted < len(self.jobs) or self.live:
            now = min(self._find_next_event(), wake_at)
            if now == math.inf:
                raise StuckReplay(f"job {next(iter(self.live.values())).job_id} waits, and nothing runs that could end")
            self._end_jobs(now)
            self._submit_jobs(now)
            wake_at = self.policy.plan(self.cluster, now)
            self._expect_ends(now)
        return self.ended

    def _find_next_event(self) -> float:
        while self.ends and self._is_stale(*self.ends[0][1:]):
            heappop(self.ends)
        coming = self.jobs[self.submitted].submitted_at if self.submitted < len(self.jobs) else math.inf
        return min(coming, self.ends[0][0]) if self.ends else coming

    def _is_stale(self, number: int, run: int) -> bool:
        """Tell whether an end is of a run that was preempted before it."""
        job = self.cluster.running.get(number)
        return job is None or job.runs != run

    def _end_jobs(self, now: float) -> None:
        while self.ends and self.ends[0][0] <= now:
            _, number, run = heappop(self.ends)
            if not self._is_stale(number, run):
                self._end_job(self.live.pop(number), now)

    def _end_job(self, job: SimulatedJob, now: float) -> None:
        source = self.jobs[job.number]
        self.cluster.stop(job, now)
        self.policy.end(job, now)
        self.estimates.learn(source)
        self.ended.append(
            EndedJob(
                job_id=job.job_id,
                submitted_at=job.submitted_at,
                started_at=self.first_starts.pop(job.number),
                ended_at=now,
                run_seconds=source.run_seconds,
                gpus=job.gpus,
                deadline_at=job.deadline_at,
                preemptions=job.runs - 1,
                promised=job.promised,
            )
        )

    def _submit_jobs(self, now: float) -> None:
        while self.submitted < len(self.jobs) and self.jobs[self.submitted].submitted_at <= now:
            source = self.jobs[self.submitted]
            job = SimulatedJob(
                number=self.submitted,
                job_id=source.job_id,
                submitted_at=source.submitted_at,
                gpus=source.gpus,
                owner=source.owner,
                estimated_seconds=self.estimates.predict(source),
                most_seconds=source.asked_seconds,
                deadline_at=source.deadline_at,
            )
            self.live[job.number] = job
            self.submitted += 1
            self.policy.submit(job, now)

    def _expect_ends(self, now: float) -> None:
        """Note when those who were started will end."""
        for job in self.cluster.started:
            self.first_starts.setdefault(job.number, now)
            left = max(self.jobs[job.number].run_seconds - job.served_seconds, 0.0)
            heappush(self.ends, (now + job.restart_seconds + left, job.number, job.runs))
        self.cluster.started.clear()
