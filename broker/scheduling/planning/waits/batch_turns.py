"""The line with those whom their batches hold back: each comes to its turn when one of its batch has ended. Pure.

Such a job goes before whoever is behind it in priority, or beside it, and would start only after its turn has come.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush

from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.snapshot import Batch
from broker.scheduling.planning.waits.forecast import Forecast


@dataclass
class BatchTurns:
    """Whose turn it is of a batch, and when. `ends` of those before it are known, but for those that are `awaited`."""

    batch: Batch
    turn_at: datetime
    ends: list[datetime]
    awaited: set[str]
    running: int
    place: int = 0

    @classmethod
    def of(cls, batch: Batch, forecast: Forecast) -> "BatchTurns":
        known = [forecast.ends[job_id] for job_id in batch.present if job_id in forecast.ends]
        heapify(known)
        awaited = {job_id for job_id in batch.present if job_id not in forecast.ends}
        return cls(batch, forecast.now, known, awaited, len(batch.present))

    def note_end(self, job_id: str, end: datetime | None) -> None:
        """Note when a job of it is expected to end; None: nobody knows, and its place is taken."""
        self.awaited.discard(job_id)
        if end is not None:
            heappush(self.ends, end)

    def find_next(self) -> tuple[datetime, WaitingJob] | None:
        """Find who is next, and from when on; None where nobody is, or nobody knows when."""
        if self.awaited or self.place == len(self.batch.held):
            return None
        while self.running >= self.batch.at_once:
            if not self.ends:
                return None
            self.turn_at = max(self.turn_at, heappop(self.ends))
            self.running -= 1
        return self.turn_at, self.batch.held[self.place]

    def take_turn(self, end: datetime | None) -> None:
        """Have the next one run until then; None: nobody knows, and its place is taken."""
        self.place += 1
        self.running += 1
        if end is not None:
            heappush(self.ends, end)


@dataclass(frozen=True, order=True)
class Due:
    """A held job whose turn comes at a moment."""

    at: datetime
    number: int
    turns: BatchTurns = field(compare=False)
    job: WaitingJob = field(compare=False)


class BatchedLine:
    """A forecast into which the line is put; `starts` are those expected, by job.

    `find_pools` names the open pools that could take a held job, and `find_priority` tells that of a job's queue.
    """

    def __init__(
        self,
        forecast: Forecast,
        batches: Iterable[Batch],
        find_pools: Callable[[WaitingJob], tuple[str, ...]],
        find_priority: Callable[[WaitingJob], int],
    ) -> None:
        self.forecast = forecast
        self.starts: dict[str, datetime | None] = {}
        self._find_pools, self._find_priority = find_pools, find_priority
        self._turns_of: dict[str, BatchTurns] = {}
        self._due: defaultdict[tuple[int, tuple[str, ...]], list[Due]] = defaultdict(list)
        self._numbers = 0
        for batch in batches:
            turns = BatchTurns.of(batch, forecast)
            self._turns_of |= dict.fromkeys(batch.present, turns)
            self._enter_next(turns)

    def put(self, job: WaitingJob, names: tuple[str, ...]) -> datetime | None:
        """Put the next job in line, behind those held ones whose turn comes before it; returns when it starts."""
        priority = self._find_priority(job)
        while (due := self._find_due(priority, names)) is not None:
            start = self.forecast.expect(job, names)
            if start is None or due[0].at > start:
                break
            self._put_due(due)
        start = self._put(job, names)
        turns = self._turns_of.get(job.job_id)
        if turns is not None:
            turns.note_end(job.job_id, self.forecast.ends.get(job.job_id))
            self._enter_next(turns)
        return start

    def expect_newcomer(self, priority: int, names: tuple[str, ...], gpus: int) -> datetime | None:
        """Tell when a job that came now would start, of a priority; those held whose turn comes before are put in."""
        start = self.forecast.find_start(names, gpus)
        while start is not None and (due := self._find_due(priority, names)) is not None and due[0].at <= start:
            self._put_due(due)
            start = self.forecast.find_start(names, gpus)
        return start

    def finish(self) -> None:
        """Put in all held jobs that are left, as their turns come."""
        while entries := [each for each in self._due.values() if each]:
            self._put_due(min(entries))

    def _find_due(self, priority: int, names: tuple[str, ...]) -> list[Due] | None:
        """Find whose turn comes first of those that are not behind a priority, and may use one of these pools."""
        if not self._due:
            return None
        pools = set(names)
        found = [
            entries
            for (own, used), entries in self._due.items()
            if entries and own >= priority and not pools.isdisjoint(used)
        ]
        return min(found, default=None)

    def _put_due(self, entries: list[Due]) -> None:
        due = heappop(entries)
        self._put(due.job, self._find_pools(due.job), due.at)
        due.turns.take_turn(self.forecast.ends.get(due.job.job_id))
        self._enter_next(due.turns)

    def _put(self, job: WaitingJob, names: tuple[str, ...], not_before: datetime | None = None) -> datetime | None:
        start = self.starts[job.job_id] = self.forecast.put(job, names, not_before)
        return start

    def _enter_next(self, turns: BatchTurns) -> None:
        """Have the next job of a batch be due from its turn on."""
        found = turns.find_next()
        if found is None:
            return
        at, job = found
        self._numbers += 1
        heappush(self._due[self._find_priority(job), self._find_pools(job)], Due(at, self._numbers, turns, job))
