"""Classes of waiting jobs: those of one contract and queue that need the same are looked at once, at their first.

Classes of one `Kind` differ in contract and queue only; kinds of one `Group` need as many GPUs of the same pools and
differ in how long they run. What does not fit for one member fits for none of its group, or of its kind: so a plan
looks at a few groups, however many jobs wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush

from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.books.ranking import Ranking
from broker.scheduling.planning.books.shares import ContractBook, QueueBook
from broker.scheduling.planning.rules.order import (
    BY_SERVICE,
    EXPEDITED,
    GUARANTEED,
    OVERDUE,
    Key,
    compute_rank_within_class,
    compute_share,
    find_due,
    rank_ordinary,
)
from broker.scheduling.planning.values.jobs import Shape, WaitingJob
from broker.scheduling.planning.values.pools import Discipline

# Run times are told apart by so many binary digits: enough to fill gaps, few enough that many jobs are of one class.
RUN_TIME_BITS = 4
# Enough for any spread: how many times as long as its shortest p50 a job takes at its longest p90, by powers of two.
SPREAD_BITS = 8


class Scene:
    """What all classes see of the plan under way: who waits, its moment, and who has fallen behind in it."""

    def __init__(self, waiting: Mapping[str, WaitingJob], run_time_bits: int) -> None:
        self.waiting = waiting
        self.run_time_bits = run_time_bits
        self.now = datetime.min.replace(tzinfo=UTC)
        self.fallen_behind: list[object] = []


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What jobs must share to be one group. `queue` is empty where its rules are those of any open queue."""

    queue: str
    pool: str | None
    skus: tuple[str | None, ...]
    gpus: int
    discipline: Discipline


class Group:
    """Jobs that need as many GPUs of the same pools; `pools` are those that could ever take them and are open."""

    def __init__(self, key: GroupKey, scene: Scene) -> None:
        self.key = key
        self.discipline = key.discipline
        self.scene = scene
        self.pools: tuple[PoolBook, ...] = ()
        self.kinds: dict[int, Kind] = {}
        self.ranking: Ranking[Kind] = Ranking(Kind.find_key, scene.fallen_behind)

    def __lt__(self, other: object) -> bool:
        return False

    def find_first(self) -> "tuple[Key, JobClass] | None":
        """Find the class whose turn it is."""
        first = self.ranking.find_first()
        return None if first is None else first[1].ranking.find_first()

    def provide_kind(self, shape: Shape) -> "Kind":
        """Provide the kind of jobs that run for about as long, and at most for about as many times that."""
        seconds = shape.p50_seconds
        bits, spread = seconds.bit_length(), (2 * shape.longest_seconds // max(seconds, 1)).bit_length()
        bucket = (bits << self.scene.run_time_bits) + (seconds >> max(bits - self.scene.run_time_bits, 0))
        bucket = bucket << SPREAD_BITS | spread
        kind = self.kinds.get(bucket)
        if kind is None:
            kind = self.kinds[bucket] = Kind(self)
        return kind


class Kind:
    """Jobs of a group that are expected to run for about as long: within an eighth of each other.

    On their slowest type, and where they take long (p90), they are within twice as long as each other.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.discipline = group.discipline
        self.classes: dict[tuple[str, str], JobClass] = {}
        self.ranking: Ranking[JobClass] = Ranking(JobClass.compute_key, group.scene.fallen_behind)

    def __lt__(self, other: object) -> bool:
        return False

    def find_key(self) -> Key | None:
        first = self.ranking.find_first()
        return None if first is None else first[0]

    def find_first(self) -> "tuple[Key, JobClass] | None":
        return self.ranking.find_first()


class DueJobs:
    """Jobs by when they have waited long enough; those that wait no longer are found out at the top."""

    __slots__ = ("entries", "known", "waiting")

    def __init__(self, waiting: Mapping[str, WaitingJob]) -> None:
        self.waiting = waiting
        self.entries: list[tuple[datetime, str, WaitingJob]] = []
        self.known: dict[str, WaitingJob] = {}

    def add(self, job: WaitingJob, due: datetime | None) -> None:
        """Add a job; one that is here already stands once."""
        if due is not None and self.known.get(job.job_id) is not job:
            self.known[job.job_id] = job
            heappush(self.entries, (due, job.job_id, job))

    def find_overdue(self, now: datetime) -> WaitingJob | None:
        """Find who has waited long enough by now, the first."""
        due = self.find_next()
        return None if due is None or due > now else self.entries[0][2]

    def find_next(self) -> datetime | None:
        """Find when the first of those that still wait has waited long enough."""
        while self.entries:
            due, job_id, job = self.entries[0]
            if self.waiting.get(job_id) is job:
                return due
            heappop(self.entries)
            if self.known.get(job_id) is job:
                del self.known[job_id]
        return None


class JobClass:
    """The jobs of one contract in one queue and kind, by age."""

    __slots__ = ("by_due", "contract", "due", "is_passed_over", "jobs", "kind", "queue", "scene", "size")

    def __init__(self, contract: ContractBook, queue: QueueBook, kind: Kind) -> None:
        self.contract = contract
        self.queue = queue
        self.kind = kind
        self.scene = kind.group.scene
        self.size = 0
        self.due: datetime | None = None
        self.is_passed_over = False
        self.jobs: list[tuple[int, datetime, str, WaitingJob]] = []
        self.by_due = DueJobs(self.scene.waiting) if kind.discipline in BY_SERVICE else None

    def __lt__(self, other: object) -> bool:
        return False

    def add(self, job: WaitingJob) -> bool:
        """Add a job; tells whether it may be the first now."""
        service = compute_rank_within_class(job, self.kind.discipline)
        heappush(self.jobs, (service, job.submitted_at, job.job_id, job))
        if self.by_due is not None:
            self.by_due.add(job, self.find_due(job))
            return True
        return self.jobs[0][3] is job

    def forget_all(self) -> None:
        """Forget all jobs: the class is closed."""
        self.jobs.clear()
        self.by_due = None

    def find_head(self) -> WaitingJob | None:
        """Find the first that still waits. By service, too, one that has waited long enough goes before all others."""
        head = self._find_first()
        if self.by_due is None or head is None or head.expedited:
            return head
        return self.by_due.find_overdue(self.scene.now) or head

    def _find_first(self) -> WaitingJob | None:
        jobs, waiting = self.jobs, self.scene.waiting
        while jobs:
            job = jobs[0][3]
            if waiting.get(job.job_id) is job:
                return job
            heappop(jobs)
        return None

    def list_first(self, count: int) -> list[WaitingJob]:
        """List the first few that still wait."""
        return sorted(self.list_waiting(), key=lambda job: (job.submitted_at, job.job_id))[:count]

    def list_waiting(self) -> list[WaitingJob]:
        """List those that still wait, in no order."""
        waiting = self.scene.waiting
        return list({entry[2]: entry[3] for entry in self.jobs if waiting.get(entry[2]) is entry[3]}.values())

    def compute_key(self) -> Key | None:
        """Compute where the class stands; None: it has no turn."""
        job = None if self.is_passed_over else self.find_head()
        return None if job is None else self.rank(job, self.find_due(job))

    def find_due(self, job: WaitingJob) -> datetime | None:
        """Find when a job of this class has waited long enough to go before all others; None: never."""
        queue = self.queue.state
        return None if queue is None else find_due(job, queue, self.kind.discipline)

    def find_next_due(self, head: WaitingJob) -> datetime | None:
        """Find when a job of this class, whose head is known, will next have waited long enough; None: none ever."""
        return self.find_due(head) if self.by_due is None else self.by_due.find_next()

    def rank(self, job: WaitingJob, due: datetime | None) -> Key:
        """Rank a job of this class that has waited long enough at `due`."""
        queue, contract = self.queue.state, self.contract
        assert queue is not None, "classes of unknown queues are in no group that is planned"
        if job.expedited:
            return EXPEDITED, 0, 0, job.submitted_at, job.job_id
        if contract.share.guarantees and self.is_guaranteed(job):
            return GUARANTEED, -queue.priority, 0, job.submitted_at, job.job_id
        if due is not None and due <= self.scene.now:
            return OVERDUE, 0, 0, due, job.job_id
        share = compute_share(contract.share.usage, contract.held, contract.share.weight * queue.weight)
        return rank_ordinary(job, queue, self.kind.discipline, share)

    @property
    def is_dedicated(self) -> bool:
        """Whether its queue is its contract's own, and something is guaranteed to that."""
        contract, queue = self.contract.share, self.queue.state
        return bool(contract.guarantees) and queue is not None and queue.contract_id == contract.contract_id

    def count(self, sku: str, gpus: int, jobs: int) -> None:
        """Count a job and its GPUs of a type as held by its contract and queue; below zero: as held no longer."""
        self.queue.count(self.contract, sku, gpus, jobs)

    def is_guaranteed(self, job: WaitingJob) -> bool:
        """Tell whether a type that the job accepts is left of its contract's guarantee, which serves its own queue."""
        contract = self.contract
        return self.is_dedicated and any(
            contract.has_guaranteed_left(each.sku, job.gpus) and job.shape.find_option(each.sku) is not None
            for each in contract.share.guarantees
        )
