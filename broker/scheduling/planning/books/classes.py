"""Classes of waiting jobs: those of one contract and queue that need the same are looked at once, at their first.

Classes of one `Kind` differ in contract and queue only; kinds of one `Group` need as many GPUs of the same pools and
differ in how long they run. What does not fit for one member fits for none of its group, or of its kind: so a plan
looks at a few groups, however many jobs wait.
"""

from dataclasses import dataclass
from datetime import datetime

from broker.scheduling.planning.books.class_jobs import ClassJobs, Scene
from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.books.ranking import Ranking
from broker.scheduling.planning.books.shares import ContractBook, QueueBook
from broker.scheduling.planning.rules.order import (
    EXPEDITED,
    GUARANTEED,
    OVERDUE,
    Key,
    compute_share,
    find_due,
    find_priority,
    rank_ordinary,
)
from broker.scheduling.planning.values.jobs import Shape, WaitingJob
from broker.scheduling.planning.values.pools import Discipline

# Run times are told apart by so many binary digits: enough to fill gaps, few enough that many jobs are of one class.
RUN_TIME_BITS = 4
# Enough for any spread of a shape.
SPREAD_BITS = 8


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

    def list_dedicated(self, count: int) -> "list[tuple[JobClass, WaitingJob]]":
        """List the first few that wait in the own queue of their contract, to which something is guaranteed."""
        classes = [each for kind in self.kinds.values() for each in kind.classes.values() if each.is_dedicated]
        found = [(each, job) for each in classes for job in each.list_first(count)]
        return sorted(found, key=lambda one: (one[1].submitted_at, one[1].job_id))[:count]

    def provide_kind(self, shape: Shape) -> "Kind":
        """Provide the kind of jobs that run for about as long, and at most for about as many times that."""
        seconds, kept = shape.p50_seconds, self.scene.run_time_bits
        bits = seconds.bit_length()
        bucket = (bits << kept) + (seconds >> bits - kept if bits > kept else seconds)
        bucket = bucket << SPREAD_BITS | shape.spread
        kind = self.kinds.get(bucket)
        if kind is None:
            kind = self.kinds[bucket] = Kind(self)
        return kind


# Contract, queue, and the priority that its jobs have of their own.
ClassKey = tuple[str, str, int | None]


class Kind:
    """Jobs of a group that are expected to run for about as long: within an eighth of each other.

    On their slowest type, and where they take long (p90), they are within twice as long as each other.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.discipline = group.discipline
        self.classes: dict[ClassKey, JobClass] = {}
        self.ranking: Ranking[JobClass] = Ranking(JobClass.compute_key, group.scene.fallen_behind)

    def __lt__(self, other: object) -> bool:
        return False

    def find_key(self) -> Key | None:
        first = self.ranking.find_first()
        return None if first is None else first[0]

    def find_first(self) -> "tuple[Key, JobClass] | None":
        return self.ranking.find_first()


class JobClass(ClassJobs):
    """The jobs of one contract in one queue and kind, which have no priority of their own, or the same one."""

    __slots__ = ("contract", "due", "is_passed_over", "kind", "priority", "queue", "size")

    def __init__(self, contract: ContractBook, queue: QueueBook, kind: Kind, priority: int | None) -> None:
        super().__init__(kind.group.scene, kind.discipline)
        self.contract = contract
        self.queue = queue
        self.kind = kind
        self.priority = priority
        self.size = 0
        self.due: datetime | None = None
        self.is_passed_over = False

    def __lt__(self, other: object) -> bool:
        return False

    def add(self, job: WaitingJob) -> bool:
        """Add a job; tells whether it may be the first now."""
        return self.enter(job, self.kind.discipline, None if self.by_due is None else self.find_due(job))

    def compute_key(self) -> Key | None:
        """Compute where the class stands; None: it has no turn."""
        job = None if self.is_passed_over else self.find_head()
        return None if job is None else self.rank(job, self.find_due(job))

    def find_due(self, job: WaitingJob) -> datetime | None:
        """Find when a job of this class has waited long enough to go before all others; None: never."""
        queue = self.queue.state
        return None if queue is None else find_due(job, queue, self.kind.discipline)

    def rank(self, job: WaitingJob, due: datetime | None) -> Key:
        """Rank a job of this class that has waited long enough at `due`."""
        queue, contract = self.queue.state, self.contract
        assert queue is not None, "classes of unknown queues are in no group that is planned"
        if job.expedited:
            return EXPEDITED, 0, 0, job.submitted_at, job.job_id
        if contract.share.guarantees and self.is_guaranteed(job):
            return GUARANTEED, -find_priority(job, queue), 0, job.submitted_at, job.job_id
        if due is not None and due <= self.scene.now:
            return OVERDUE, 0, 0, due, job.job_id
        share = compute_share(contract.share.usage, contract.held, contract.share.weight * queue.weight)
        return rank_ordinary(job, queue, self.kind.discipline, share)

    @property
    def key(self) -> ClassKey:
        return self.contract.share.contract_id, self.queue.name, self.priority

    @property
    def is_dedicated(self) -> bool:
        """Whether its queue is its contract's own, and something is guaranteed to that."""
        contract, queue = self.contract.share, self.queue.state
        return bool(contract.guarantees) and queue is not None and queue.contract_id == contract.contract_id

    def count(self, sku: str, gpus: int, jobs: int) -> None:
        """Count a job and its GPUs of a type as held by its contract and queue; below zero: as held no longer."""
        self.queue.count(self.contract, sku, gpus, jobs)

    def lacks_promised(self, job: WaitingJob) -> bool:
        """Tell whether a job would be within its guarantee if machines had not failed."""
        contract = self.contract
        return (
            self.is_dedicated
            and not self.is_guaranteed(job)
            and any(
                job.shape.find_option(each.sku) is not None and contract.lacks_promised(each, job.gpus)
                for each in contract.share.guarantees
            )
        )

    def is_guaranteed(self, job: WaitingJob) -> bool:
        """Tell whether a type that the job accepts is left of its contract's guarantee, which serves its own queue."""
        contract = self.contract
        return self.is_dedicated and any(
            contract.has_guaranteed_left(each.sku, job.gpus) and job.shape.find_option(each.sku) is not None
            for each in contract.share.guarantees
        )
