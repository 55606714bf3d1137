"""The jobs of one class: the first is found without sorting them, and who waits no longer is found out at the top.

A job that is told again stands a second time: both may rank alike, and are told apart by which object they are.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from heapq import heappop, heappush

from broker.scheduling.planning.rules.order import BY_SERVICE, compute_rank_within_class
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import Discipline


class Scene:
    """What all classes see of the plan under way: who waits, its moment, and who has fallen behind in it."""

    def __init__(self, waiting: Mapping[str, WaitingJob], run_time_bits: int) -> None:
        self.waiting = waiting
        self.run_time_bits = run_time_bits
        self.now = datetime.min.replace(tzinfo=UTC)
        self.fallen_behind: list[object] = []


class DueJobs:
    """Jobs by when they have waited long enough; those that wait no longer are found out at the top."""

    __slots__ = ("entries", "known", "waiting")

    def __init__(self, waiting: Mapping[str, WaitingJob]) -> None:
        self.waiting = waiting
        self.entries: list[tuple[datetime, str, int, WaitingJob]] = []
        self.known: dict[str, WaitingJob] = {}

    def add(self, job: WaitingJob, due: datetime | None) -> None:
        """Add a job; one that is here already stands once."""
        if due is not None and self.known.get(job.job_id) is not job:
            self.known[job.job_id] = job
            heappush(self.entries, (due, job.job_id, id(job), job))

    def find_overdue(self, now: datetime) -> WaitingJob | None:
        """Find who has waited long enough by now, the first."""
        due = self.find_next()
        return None if due is None or due > now else self.entries[0][-1]

    def find_next(self) -> datetime | None:
        """Find when the first of those that still wait has waited long enough."""
        while self.entries:
            due, job_id, _where, job = self.entries[0]
            if self.waiting.get(job_id) is job:
                return due
            heappop(self.entries)
            if self.known.get(job_id) is job:
                del self.known[job_id]
        return None


class ClassJobs:
    """Jobs by age or, where the discipline says so, by service; there those that have waited long enough go first."""

    __slots__ = ("by_due", "jobs", "only", "scene")

    def __init__(self, scene: Scene, discipline: Discipline) -> None:
        self.scene = scene
        # Most classes of a long line have one job each: it needs no order, and stands alone until another comes.
        self.only: WaitingJob | None = None
        self.jobs: list[tuple[int, datetime, str, int, WaitingJob]] = []
        self.by_due = DueJobs(scene.waiting) if discipline in BY_SERVICE else None

    def enter(self, job: WaitingJob, discipline: Discipline, due: datetime | None) -> bool:
        """Enter a job, which by service will have waited long enough at `due`; tells whether it may be first now."""
        if self.by_due is not None:
            self.by_due.add(job, due)
        if self.only is None and not self.jobs:
            self.only = job
            return True
        if self.only is not None:
            self._put_in_order(self.only, discipline)
            self.only = None
        self._put_in_order(job, discipline)
        return self.by_due is not None or self.jobs[0][4] is job

    def _put_in_order(self, job: WaitingJob, discipline: Discipline) -> None:
        heappush(self.jobs, (compute_rank_within_class(job, discipline), job.submitted_at, job.job_id, id(job), job))

    def forget_all(self) -> None:
        """Forget all jobs: the class is closed."""
        self.only = None
        self.jobs.clear()
        self.by_due = None

    def find_head(self) -> WaitingJob | None:
        """Find the first that still waits."""
        head, by_due = self._find_first(), self.by_due
        if by_due is None or head is None or head.expedited:
            return head
        return by_due.find_overdue(self.scene.now) or head

    def list_first(self, count: int) -> list[WaitingJob]:
        """List the first few that still wait."""
        return sorted(self.list_waiting(), key=lambda job: (job.submitted_at, job.job_id))[:count]

    def list_waiting(self) -> list[WaitingJob]:
        """List those that still wait, in no order."""
        waiting = self.scene.waiting
        jobs = [entry[-1] for entry in self.jobs] if self.only is None else [self.only]
        return list({job.job_id: job for job in jobs if waiting.get(job.job_id) is job}.values())

    def _find_first(self) -> WaitingJob | None:
        jobs, waiting, only = self.jobs, self.scene.waiting, self.only
        if only is not None:
            if waiting.get(only.job_id) is only:
                return only
            self.only = None
        while jobs:
            job = jobs[0][4]
            if waiting.get(job.job_id) is job:
                return job
            heappop(jobs)
        return None
