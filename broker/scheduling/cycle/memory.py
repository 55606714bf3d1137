"""What a process knows of the line from one cycle to the next: the jobs that wait, and a planner that follows.

The database stays the truth: each cycle reads what has changed since the one before. A cycle that failed, or that
another process had meanwhile, leaves a memory that is begun anew: 100,000 waiting jobs take a second or two.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from broker.jobs.reading import queueing
from broker.jobs.reading.queueing import QueuedJob, WaitNotice
from broker.scheduling.cycle.following import FollowingPlanner
from broker.scheduling.cycle.snapshot import describe_waiting
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.work import Work


@dataclass
class CycleMemory:
    """The line as it was read up to `read_from`, and what came of it. `aside`: jobs that cannot be planned with.

    `process_id` is whose memory it is; None: it is for one cycle alone.
    `passed_over`: those that the planner was not told of. `changed`: those of which it must be told before it plans.
    `limited` and `expedited` have the jobs whose batch has a limit, and those that go first; `contracts` counts jobs.
    """

    process_id: str | None = None
    read_from: int | None = None
    planned_at: datetime | None = None
    jobs: dict[str, QueuedJob] = field(default_factory=dict)
    limited: dict[str, QueuedJob] = field(default_factory=dict)
    expedited: dict[str, QueuedJob] = field(default_factory=dict)
    faulty: dict[str, QueuedJob] = field(default_factory=dict)
    contracts: Counter[str] = field(default_factory=Counter)
    aside: set[str] = field(default_factory=set)
    passed_over: frozenset[str] = frozenset()
    changed: set[str] = field(default_factory=set)
    following: FollowingPlanner = field(default_factory=FollowingPlanner)
    is_new: bool = True

    async def catch_up(self, work: Work) -> None:
        """Read what has changed of the line; all of it where nothing is known, or time or the database went back."""
        if self.planned_at is not None and work.now < self.planned_at:
            self.forget()
        changes = await queueing.read_line(work, self.read_from)
        if changes.is_whole:
            self.forget()
        self.planned_at, self.is_new = work.now, changes.is_whole
        for job_id in changes.gone:
            self._take_out(job_id)
        for job in changes.waiting:
            if self.jobs.get(job.id) != job:
                self._take_out(job.id)
                self._put_in(job)
        if self.is_new:
            self.aside = {job.id for job in changes.waiting if was_set_aside(job)}
        self.read_from = changes.read_from

    def forget(self) -> None:
        """Forget all: what was done with it may not have been committed, or others have done more since."""
        vars(self).update(vars(CycleMemory(self.process_id)))

    def tell_planner(self, passed_over: Iterable[str]) -> Mapping[str, WaitingJob | None]:
        """List what the planner must be told of the line; those that were passed over do not wait for it."""
        out = frozenset(passed_over)
        self.changed |= out ^ self.passed_over
        told = {job_id: self._describe(job_id, out) for job_id in self.changed}
        self.passed_over = out
        self.changed = set()
        return told

    def note_started(self, job_ids: Iterable[str]) -> None:
        """Note which jobs wait no longer since they were started just now."""
        for job_id in job_ids:
            self._take_out(job_id)

    def note_told(self, notices: Iterable[WaitNotice], job_ids: Collection[str]) -> None:
        """Note what was written of these jobs; what the planner knows of them is as before."""
        for notice in notices:
            job = self.jobs.get(notice.job_id)
            if job is not None and notice.job_id in job_ids:
                told = replace(job, pending_reason=notice.reason, expected_start=notice.expected_start)
                self._keep(replace(told, latest_start=notice.latest_start))

    def _describe(self, job_id: str, passed_over: Collection[str]) -> WaitingJob | None:
        job = self.jobs.get(job_id)
        return None if job is None or job_id in passed_over else describe_waiting(job)

    def _put_in(self, job: QueuedJob) -> None:
        self.contracts[job.contract_id] += 1
        self._keep(job)
        self.changed.add(job.id)

    def _keep(self, job: QueuedJob) -> None:
        self.jobs[job.id] = job
        for kept, belongs in (
            (self.limited, job.batch is not None),
            (self.expedited, job.expedited_at is not None),
            (self.faulty, job.fault is not None),
        ):
            if belongs:
                kept[job.id] = job

    def _take_out(self, job_id: str) -> None:
        job = self.jobs.pop(job_id, None)
        if job is None:
            return
        for kept in (self.limited, self.expedited, self.faulty):
            kept.pop(job_id, None)
        self.contracts[job.contract_id] -= 1
        if not self.contracts[job.contract_id]:
            del self.contracts[job.contract_id]
        self.changed.add(job_id)


def was_set_aside(job: QueuedJob) -> bool:
    """Tell whether a waiting job was told last that it is set aside."""
    return (job.pending_reason or {}).get("code") == queueing.SET_ASIDE
