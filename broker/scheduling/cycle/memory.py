"""What a process knows of the line from one cycle to the next: the jobs that wait, and a planner that follows.

The database stays the truth: each cycle reads what has changed since the one before. A cycle that failed, or that
another process had meanwhile, leaves a memory that is begun anew: 100,000 waiting jobs take a second or two. What they
were told last is read once they are told anew, which nobody's start waits for.
"""

import gc
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from math import ceil

from broker.capacity.start_forecasts import PublishedStarts
from broker.jobs.reading.line import FoundChanges, LineChanges, QueuedJob, Told, read_line, read_told
from broker.jobs.reading.queueing import WaitNotice
from broker.scheduling.cycle.following import FollowingPlanner
from broker.scheduling.cycle.pace import SHORT_LINE
from broker.scheduling.cycle.snapshot import describe_waiting
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.work import Work

# To look through so many jobs takes longer than requests should wait.
LONG_LINE = 10_000
# What time alone moves is told so often: half of what a date must move by to be told anew (`waits.FORECAST_TOLERANCE`).
TOLD_EVERY = timedelta(seconds=5)
# A long line is told in so many pieces at most.
MOST_PIECES = 20


@dataclass
class Untold:
    """What jobs are to be told, the first in line first: so many `at_once`, for starts wait meanwhile."""

    notices: dict[str, WaitNotice] = field(default_factory=dict)
    at_once: int = SHORT_LINE

    @property
    def pieces_left(self) -> int:
        """Tell in how many pieces all are told."""
        return ceil(len(self.notices) / self.at_once)

    def add(self, notices: Iterable[WaitNotice]) -> None:
        """Add what is told before all others, and in place of what the same jobs were to be told."""
        added = {notice.job_id: notice for notice in notices}
        self.notices = added | {job_id: told for job_id, told in self.notices.items() if job_id not in added}
        self.at_once = max(SHORT_LINE, ceil(len(self.notices) / MOST_PIECES))

    def take(self, *, is_whole: bool) -> list[WaitNotice]:
        """Take what is told now: a piece, or all of it."""
        return [self.notices.pop(job_id) for job_id in [*islice(self.notices, None if is_whole else self.at_once)]]


@dataclass
class CycleMemory:
    """The line as it was read up to `read_from`, and what came of it. `aside`: jobs that cannot be planned with.

    `process_id` is whose memory it is; None: it is for one cycle alone.
    `passed_over`: those that the planner was not told of. `changed`: those of which it must be told before it plans.
    `told` is what each was told last, of those that were told something; None: that was not read yet.
    `moved` are those that were told something, or left the line, since `take_moved`; None: nobody knows which. Those of
    the cycle under way are `moving`: it is not committed yet.
    `untold` is what was worked out for jobs that wait, and they are not told yet.
    `told_at`: when what all are told was worked out last. `has_news`: what they wait for, or the line, has changed
    since then.
    `published`: the starts of newcomers as they stand; None: that was not read yet.
    `limited` and `expedited` have the jobs whose batch has a limit, and those that go first; `contracts` counts jobs.
    """

    process_id: str | None = None
    read_from: int | None = None
    planned_at: datetime | None = None
    told_at: datetime | None = None
    has_news: bool = False
    published: PublishedStarts | None = None
    jobs: dict[str, QueuedJob] = field(default_factory=dict)
    limited: dict[str, QueuedJob] = field(default_factory=dict)
    expedited: dict[str, QueuedJob] = field(default_factory=dict)
    faulty: dict[str, QueuedJob] = field(default_factory=dict)
    contracts: Counter[str] = field(default_factory=Counter)
    told: dict[str, Told] | None = None
    untold: Untold = field(default_factory=Untold)
    moved: set[str] | None = None
    moving: set[str] = field(default_factory=set)
    aside: set[str] = field(default_factory=set)
    passed_over: frozenset[str] = frozenset()
    changed: set[str] = field(default_factory=set)
    following: FollowingPlanner = field(default_factory=FollowingPlanner)
    is_new: bool = True

    async def catch_up(self, work: Work, found: FoundChanges | None = None) -> None:
        """Read what has changed of the line; all of it where nothing is known, or time or the database went back.

        `found` are the changes, where they have been asked for since `read_from`.
        """
        if self.planned_at is not None and work.now < self.planned_at:
            self.forget()
        self._settle_moved()
        changes = await read_line(work, self.read_from, found)
        if changes.is_whole:
            self.forget()
            self._take_whole(changes)
            spare_long_lived(len(changes.waiting))
        else:
            self._take_changes(changes)
        self.planned_at, self.is_new, self.read_from = work.now, changes.is_whole, changes.read_from

    def _take_whole(self, changes: LineChanges) -> None:
        self.jobs = {job.id: job for job in changes.waiting}
        self.changed = set(self.jobs)
        self.contracts = Counter([job.contract_id for job in changes.waiting])
        self.limited = {job.id: job for job in changes.waiting if job.batch is not None}
        self.expedited = {job.id: job for job in changes.waiting if job.expedited_at is not None}
        self.faulty = {job.id: job for job in changes.waiting if job.fault is not None}
        self.aside = {job.id for job in changes.waiting if job.is_set_aside}

    def _take_changes(self, changes: LineChanges) -> None:
        for job_id in changes.gone:
            self._take_out(job_id)
        for job in changes.waiting:
            if self.jobs.get(job.id) != job:
                self._take_out(job.id)
                self._put_in(job)
            if self.told is not None and self.told.pop(job.id, None) != changes.told.get(job.id):
                self.has_news = True
        if self.told is not None:
            self.told |= changes.told

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

    async def find_told(self, work: Work) -> Mapping[str, Told]:
        """Find what those that wait were told last, and that nothing was told to who is not among them."""
        if self.told is None:
            self.told = await read_told(work)
        return self.told

    def is_telling_due(self, now: datetime) -> bool:
        """Tell whether those who wait are told anew though nothing has changed but the time."""
        return self.told_at is None or not timedelta() <= now - self.told_at < TOLD_EVERY

    def note_told(self, notices: Iterable[WaitNotice], job_ids: Collection[str]) -> None:
        """Note what was written of these jobs."""
        for notice in notices:
            if self.told is not None and notice.job_id in job_ids and notice.job_id in self.jobs:
                self.told[notice.job_id] = Told(notice.reason, notice.expected_start, notice.latest_start)
        self.moving.update(job_ids)

    def _settle_moved(self) -> None:
        """Add those of the cycle before, which has been committed by now, or all would have been forgotten."""
        if self.moved is not None:
            self.moved |= self.moving
        self.moving = set()

    def take_moved(self) -> set[str] | None:
        """Take who was told something, or left the line, since the last time; None: nobody knows which."""
        moved, self.moved = self.moved, set()
        return moved

    def _describe(self, job_id: str, passed_over: Collection[str]) -> WaitingJob | None:
        job = self.jobs.get(job_id)
        return None if job is None or job_id in passed_over else describe_waiting(job)

    def _put_in(self, job: QueuedJob) -> None:
        self.contracts[job.contract_id] += 1
        self.jobs[job.id] = job
        self.changed.add(job.id)
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
        for kept in (self.limited, self.expedited, self.faulty, self.untold.notices, self.told or {}):
            kept.pop(job_id, None)
        self.contracts[job.contract_id] -= 1
        if not self.contracts[job.contract_id]:
            del self.contracts[job.contract_id]
        self.changed.add(job_id)
        self.moving.add(job_id)


def spare_long_lived(jobs: int) -> None:
    """Keep the garbage collector from looking through a long line again and again, for as long as it waits.

    Nothing of it is in a circle, so it is freed once it is gone.
    """
    if jobs >= LONG_LINE:
        gc.freeze()
