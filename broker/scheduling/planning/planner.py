"""The incremental planner: told what changes, it keeps what it needs to plan, and plans anew what that touches.

Cold it takes n log n in the number of waiting jobs; then a plan looks at groups of classes, not at jobs. What it
answers depends on what is true now alone, not on the order in which it was told.
"""

from collections import defaultdict
from datetime import datetime
from heapq import heappop, heappush

from broker.scheduling.planning.books.classes import RUN_TIME_BITS, Group, GroupKey, JobClass, Kind, Scene
from broker.scheduling.planning.books.nodes import PoolBook, expect_end
from broker.scheduling.planning.books.shares import ContractBook, QueueBook
from broker.scheduling.planning.rounds.reclaim import RunBook
from broker.scheduling.planning.rounds.round import Plan, Round
from broker.scheduling.planning.rules.order import find_due
from broker.scheduling.planning.values.jobs import RunningJob, Shape, WaitingJob
from broker.scheduling.planning.values.pools import Discipline, PoolState
from broker.scheduling.planning.values.queues import NO_LIMITS, ContractShare, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot, Kept


class Planner:
    """Plans for the jobs, runs, pools, queues and shares that it was told. Pure: `now` is given, and never goes back.

    `submit` and `end` tell of jobs, `start` that a job runs (a plan by itself starts nothing), `change` of all else.
    Run times that agree in their first `run_time_bits` binary digits are planned as one class.
    """

    def __init__(self, run_time_bits: int = RUN_TIME_BITS) -> None:
        self.waiting: dict[str, WaitingJob] = {}
        self.scene = Scene(self.waiting, run_time_bits)
        self.running: dict[str, RunBook] = {}
        self.pools: dict[str, PoolBook] = {}
        self.queues: dict[str, QueueBook] = {}
        self.contracts: dict[str, ContractBook] = {}
        self.guaranteed: set[ContractBook] = set()
        self.kept: dict[str, Kept] = {}
        self.groups: dict[GroupKey, Group] = {}
        self._homes: dict[tuple[str, str | None, int, tuple[str | None, ...]], tuple[Group, ...]] = {}
        self._classes: defaultdict[str, set[JobClass]] = defaultdict(set)
        self._moved: set[JobClass] = set()
        self._due: list[tuple[datetime, str, JobClass]] = []
        self._ends: list[tuple[datetime, str]] = []
        self._disciplines: tuple[Discipline, ...] = (Discipline.FAIR,)
        self._pools_changed = False

    @classmethod
    def of(cls, snapshot: ClusterSnapshot) -> "Planner":
        """Make a planner that was told all of a snapshot."""
        planner = cls()
        for told in (snapshot.pools, snapshot.queues, snapshot.shares, snapshot.kept):
            for value in told:
                planner.change(value)
        for run in snapshot.running:
            planner.start(run)
        for job in snapshot.waiting:
            planner.submit(job)
        return planner

    def submit(self, job: WaitingJob) -> None:
        """Take a job that waits, or that waits again."""
        self.waiting[job.job_id] = job
        for home in self._find_classes(job):
            home.size += 1
            if home.add(job):
                self._moved.add(home)

    def start(self, run: RunningJob) -> None:
        """Take a job that holds GPUs from now on; it waits no longer."""
        self._withdraw(run.job_id)
        self.kept.pop(run.job_id, None)
        end = run.p50_end if run.p90_end is None else run.p90_end
        self.running[run.job_id] = RunBook(run, end)
        heappush(self._ends, (end, run.job_id))
        self._book(run, end, 1)

    def end(self, job_id: str) -> None:
        """Forget a job that waits or runs no longer. One that is not known is none of ours."""
        self._withdraw(job_id)
        self.kept.pop(job_id, None)
        booked = self.running.pop(job_id, None)
        if booked is not None:
            self._book(booked.run, booked.end, -1)
            self._moved |= self._classes[booked.run.contract_id]

    def change(self, told: PoolState | QueueState | ContractShare | Kept) -> None:
        """Take a pool, a queue, a contract's share or kept GPUs as they are from now on."""
        match told:
            case PoolState():
                self._change_pool(told)
            case QueueState():
                self._change_queue(told)
            case ContractShare():
                contract = self.provide_contract(told.contract_id)
                contract.share = told
                (self.guaranteed.add if told.guarantees else self.guaranteed.discard)(contract)
                self._moved |= self._classes[told.contract_id]
            case Kept():
                self.kept[told.job_id] = told

    def forget_pool(self, name: str) -> None:
        """Forget a pool that is no more; its runs run on."""
        if self.pools.pop(name, None) is not None:
            self._pools_changed = True

    def forget_queue(self, name: str) -> None:
        """Forget a queue that is no more; its jobs wait until they are told otherwise."""
        queue = self.queues.get(name)
        if queue is not None:
            queue.state = None
            self._rehome(queue)

    def plan(self, now: datetime) -> Plan:
        """Plan what starts now. Changes nothing: what is started must be told by `start`."""
        self.scene.now = now
        self._refresh_pools()
        self._correct_ends(now)
        self._rank_due(now)
        self._rank_moved()
        self.scene.fallen_behind.clear()
        plan = Round(self, now).run()
        self._moved.update(each for each in self.scene.fallen_behind if isinstance(each, JobClass))
        return plan

    def provide_contract(self, contract_id: str) -> ContractBook:
        """Provide what is known of a contract."""
        contract = self.contracts.get(contract_id)
        if contract is None:
            contract = self.contracts[contract_id] = ContractBook(ContractShare(contract_id))
        return contract

    def provide_queue(self, name: str) -> QueueBook:
        """Provide what is known of a queue."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = QueueBook(name)
        return queue

    def find_queue(self, name: str) -> QueueState | None:
        """Find what is said of a queue."""
        queue = self.queues.get(name)
        return None if queue is None else queue.state

    def restore(self, job: WaitingJob) -> None:
        """Have a job wait again that was taken out for a moment."""
        for home in self._find_classes(job):
            home.add(job)
            self._moved.add(home)

    def move(self, job_class: JobClass) -> None:
        """Note that a class may stand further ahead than it did."""
        self._moved.add(job_class)

    def _find_classes(self, job: WaitingJob) -> list[JobClass]:
        """Find the classes that a job belongs to: one for each discipline under which pools are planned."""
        shape = job.shape
        home = (job.queue, job.pool, shape.gpus, shape.skus)
        groups = self._homes.get(home)
        if groups is None:
            groups = self._homes[home] = self._find_groups(job.queue, job.pool, shape)
        key = (job.contract_id, job.queue)
        found = []
        for group in groups:
            kind = group.provide_kind(shape.p50_seconds)
            found.append(kind.classes.get(key) or self._open_class(kind, *key))
        return found

    def _find_groups(self, queue_name: str, pool: str | None, shape: Shape) -> tuple[Group, ...]:
        state = self.provide_queue(queue_name).state
        has_own_rules = state is None or not (
            state.starts_jobs and state.allowed_pools is None and state.limits == NO_LIMITS
        )
        keys = [
            GroupKey(queue_name if has_own_rules else "", pool, shape.skus, shape.gpus, discipline)
            for discipline in self._disciplines
        ]
        return tuple(self._provide_group(key) for key in keys)

    def _provide_group(self, key: GroupKey) -> Group:
        if key not in self.groups:
            group = self.groups[key] = Group(key, self.scene)
            group.pools = self.find_pools(key)
        return self.groups[key]

    def find_pools(self, key: GroupKey) -> tuple[PoolBook, ...]:
        """Find the open pools that could take jobs of a group when they are empty."""
        queue = self.queues[key.queue].state if key.queue else None
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

    def _open_class(self, kind: Kind, contract_id: str, queue_name: str) -> JobClass:
        contract, queue = self.provide_contract(contract_id), self.provide_queue(queue_name)
        opened = JobClass(contract, queue, kind)
        kind.classes[contract_id, queue_name] = opened
        self._classes[contract_id].add(opened)
        return opened

    def _close_class(self, job_class: JobClass) -> None:
        contract, queue, kind = job_class.contract, job_class.queue, job_class.kind
        kind.classes.pop((contract.share.contract_id, queue.name), None)
        self._classes[contract.share.contract_id].discard(job_class)
        self._moved.discard(job_class)
        job_class.jobs.clear()  # what is left of it in a ranking has no turn

    def _withdraw(self, job_id: str) -> None:
        job = self.waiting.pop(job_id, None)
        if job is None:
            return
        for home in self._find_classes(job):
            home.size -= 1
            if home.size:
                self._moved.add(home)
            else:
                self._close_class(home)

    def _book(self, run: RunningJob, end: datetime, sign: int) -> None:
        """Take what a run holds, or give it back."""
        pool = self.pools.get(run.pool)
        if pool is not None:
            (pool.occupy if sign > 0 else pool.vacate)(run.job_id, pool.list_places(run), end)
        contract, queue = self.provide_contract(run.contract_id), self.provide_queue(run.queue)
        queue.count(contract, "" if pool is None else pool.state.sku, sign * run.gpus, sign)

    def _change_pool(self, state: PoolState) -> None:
        runs = [booked for booked in self.running.values() if booked.run.pool == state.name]
        for booked in runs:
            self._book(booked.run, booked.end, -1)
        self.pools[state.name] = PoolBook(state)
        for booked in runs:
            self._book(booked.run, booked.end, 1)
        self._pools_changed = True

    def _change_queue(self, state: QueueState) -> None:
        queue = self.provide_queue(state.name)
        runs = [booked for booked in self.running.values() if booked.run.queue == state.name]
        for booked in runs:
            self._book(booked.run, booked.end, -1)
        queue.state = state
        for booked in runs:
            self._book(booked.run, booked.end, 1)
        self._pools_changed = True
        self._rehome(queue)

    def list_classes(self, queue: QueueBook | None = None) -> list[JobClass]:
        """List the classes that have jobs; of one queue, or all."""
        kinds = [kind for group in self.groups.values() for kind in group.kinds.values()]
        return [each for kind in kinds for each in kind.classes.values() if queue in (None, each.queue)]

    def _rehome(self, queue: QueueBook | None = None) -> None:
        """Put the jobs of a queue, or all, into the classes where they belong by now."""
        self._homes.clear()
        leaving = self.list_classes(queue)
        jobs = {id(entry[3]): entry[3] for each in leaving for entry in each.jobs}
        for each in leaving:
            self._close_class(each)
        for job in jobs.values():
            if self.waiting.get(job.job_id) is job:
                self.submit(job)

    def _refresh_pools(self) -> None:
        """Find anew which pools take which groups, once pools have changed."""
        if not self._pools_changed:
            return
        self._pools_changed = False
        used = tuple(sorted({pool.state.discipline for pool in self.pools.values()})) or (Discipline.FAIR,)
        if used != self._disciplines:
            self._disciplines = used
            self._rehome()
        for group in self.groups.values():
            group.pools = self.find_pools(group.key)

    def _correct_ends(self, now: datetime) -> None:
        """Expect runs that have outlived their prediction to end later."""
        while self._ends and self._ends[0][0] <= now:
            end, job_id = heappop(self._ends)
            booked = self.running.get(job_id)
            if booked is None or booked.end != end:
                continue
            later = expect_end(booked.run, now)
            pool = self.pools.get(booked.run.pool)
            if pool is not None:
                places = pool.list_places(booked.run)
                pool.vacate(job_id, places, end)
                pool.occupy(job_id, places, later)
            booked.end = later
            heappush(self._ends, (later, job_id))

    def _rank_due(self, now: datetime) -> None:
        """Put the classes ahead whose first job has waited long enough by now."""
        while self._due and self._due[0][0] <= now:
            self._moved.add(heappop(self._due)[2])

    def _rank_moved(self) -> None:
        for job_class in self._moved:
            self._rank(job_class)
        self._moved.clear()

    def _rank(self, job_class: JobClass) -> None:
        """Enter a class where it stands now, and note when its first job will have waited long enough."""
        head, kind = job_class.find_head(), job_class.kind
        queue = job_class.queue.state
        if head is None or queue is None:
            return
        due = find_due(head, queue, kind.discipline)
        key = job_class.rank(head, due)
        if kind.ranking.enter(key, job_class):
            kind.group.ranking.enter(key, kind)
        if due is not None and due > self.scene.now and due != job_class.due:
            job_class.due = due
            heappush(self._due, (due, head.job_id, job_class))
