"""Where a waiting job belongs: to one class for each discipline under which pools are planned."""

from collections import defaultdict
from collections.abc import Iterable

from broker.scheduling.planning.books.class_jobs import Scene
from broker.scheduling.planning.books.classes import ClassKey, Group, GroupKey, JobClass, Kind
from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.books.shares import QueueBook, ShareBooks
from broker.scheduling.planning.values.jobs import Shape, WaitingJob
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.planning.values.queues import NO_LIMITS, QueueState


class Homes:
    """The groups, kinds and classes of those who wait. `moved`: classes that may stand elsewhere than they did."""

    def __init__(self, scene: Scene, pools: dict[str, PoolBook], shares: ShareBooks) -> None:
        self.scene = scene
        self.pools = pools
        self.shares = shares
        self.groups: dict[GroupKey, Group] = {}
        self.moved: set[JobClass] = set()
        self._groups_of: dict[tuple[str, str | None, int, tuple[str | None, ...]], tuple[Group, ...]] = {}
        self._classes: defaultdict[str, set[JobClass]] = defaultdict(set)
        self._disciplines: tuple[Discipline, ...] = (Discipline.FAIR,)

    def add(self, job: WaitingJob) -> None:
        """Have a job wait in its classes."""
        for home in self.find(job):
            home.size += 1
            if home.add(job):
                self.moved.add(home)

    def restore(self, job: WaitingJob) -> None:
        """Have a job wait again that was taken out for a moment."""
        for home in self.find(job):
            home.add(job)
            self.moved.add(home)

    def withdraw(self, job: WaitingJob) -> None:
        """Have a job wait no longer; a class without jobs is closed."""
        for home in self.find(job):
            home.size -= 1
            if home.size:
                self.moved.add(home)
            else:
                self._close(home)

    def move_contracts(self, contract_ids: Iterable[str]) -> None:
        """Note that classes of contracts may stand further ahead than they did."""
        for contract_id in contract_ids:
            self.moved |= self._classes[contract_id]

    def list_classes(self, queue: QueueBook | None = None) -> list[JobClass]:
        """List the classes that have jobs; of one queue, or all."""
        kinds = [kind for group in self.groups.values() for kind in group.kinds.values()]
        return [each for kind in kinds for each in kind.classes.values() if queue in (None, each.queue)]

    def rehome(self, queue: QueueBook | None = None) -> None:
        """Put the jobs of a queue, or all, into the classes where they belong by now."""
        self._groups_of.clear()
        leaving = self.list_classes(queue)
        jobs = {job.job_id: job for each in leaving for job in each.list_waiting()}
        for each in leaving:
            self._close(each)
        for job in jobs.values():
            self.add(job)

    def refresh_pools(self) -> None:
        """Find anew which pools take which groups."""
        used = tuple(sorted({pool.state.discipline for pool in self.pools.values()})) or (Discipline.FAIR,)
        if used != self._disciplines:
            self._disciplines = used
            self.rehome()
        for group in self.groups.values():
            group.pools = self._find_pools(group.key)

    def find(self, job: WaitingJob) -> list[JobClass]:
        """Find the classes that a job belongs to."""
        shape = job.shape
        home = (job.queue, job.pool, shape.gpus, shape.skus)
        groups = self._groups_of.get(home)
        if groups is None:
            groups = self._groups_of[home] = self._find_groups(job.queue, job.pool, shape)
        key = (job.contract_id, job.queue, job.priority)
        found = []
        for group in groups:
            kind = group.provide_kind(shape)
            found.append(kind.classes.get(key) or self._open(kind, key))
        return found

    def find_pools(self, job: WaitingJob) -> tuple[str, ...]:
        """Find the names of the open pools that could take a job, which need not wait, when they are empty."""
        shape, state = job.shape, self.shares.find_queue(job.queue)
        own = job.queue if state is None or _has_own_rules(state) else ""
        keys = [GroupKey(own, job.pool, shape.skus, shape.gpus, each) for each in self._disciplines]
        return tuple(sorted(pool.state.name for key in keys for pool in self._find_pools(key)))

    def _find_groups(self, queue_name: str, pool: str | None, shape: Shape) -> tuple[Group, ...]:
        state = self.shares.provide_queue(queue_name).state
        own = queue_name if state is None or _has_own_rules(state) else ""
        keys = [GroupKey(own, pool, shape.skus, shape.gpus, discipline) for discipline in self._disciplines]
        return tuple(self._provide_group(key) for key in keys)

    def _provide_group(self, key: GroupKey) -> Group:
        if key not in self.groups:
            group = self.groups[key] = Group(key, self.scene)
            group.pools = self._find_pools(key)
        return self.groups[key]

    def _find_pools(self, key: GroupKey) -> tuple[PoolBook, ...]:
        """Find the open pools that could take jobs of a group when they are empty."""
        queue = self.shares.find_queue(key.queue) if key.queue else None
        if key.queue and (queue is None or not queue.starts_jobs):
            return ()
        allowed = None if queue is None else queue.allowed_pools
        return tuple(
            pool
            for name, pool in self.pools.items()
            if pool.state.open
            and pool.state.discipline == key.discipline
            and key.pool in (None, name)
            and (allowed is None or name in allowed)
            and (None in key.skus or pool.state.sku in key.skus)
            and pool.could_fit(key.gpus)
        )

    def _open(self, kind: Kind, key: ClassKey) -> JobClass:
        contract_id, queue_name, priority = key
        shares = self.shares
        contract = shares.contracts.get(contract_id) or shares.provide_contract(contract_id)
        queue = shares.queues.get(queue_name) or shares.provide_queue(queue_name)
        opened = kind.classes[key] = JobClass(contract, queue, kind, priority)
        self._classes[contract_id].add(opened)
        return opened

    def _close(self, job_class: JobClass) -> None:
        job_class.kind.classes.pop(job_class.key, None)
        self._classes[job_class.contract.share.contract_id].discard(job_class)
        self.moved.discard(job_class)
        job_class.forget_all()  # what is left of it in a ranking has no turn


def _has_own_rules(queue: QueueState) -> bool:
    """Tell whether jobs of a queue may fit where those of others do not, or the other way round.

    A dedicated queue has what others are not lent.
    """
    is_plain = queue.starts_jobs and queue.allowed_pools is None and queue.limits == NO_LIMITS
    return not is_plain or queue.contract_id is not None
