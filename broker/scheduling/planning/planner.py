"""The incremental planner: told what changes, it keeps what it needs to plan, and plans anew what that touches.

Cold it takes n log n in the number of waiting jobs; then a plan looks at groups of classes, not at jobs. What it
answers depends on what is true now alone, not on the order in which it was told.
"""

from collections import defaultdict
from datetime import datetime
from heapq import heappop, heappush

from broker.scheduling.planning.books.books import Books
from broker.scheduling.planning.books.classes import RUN_TIME_BITS, JobClass, Kind
from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.rounds.reclaim import KEPT_AFTER
from broker.scheduling.planning.rounds.round import Plan, Round
from broker.scheduling.planning.rules.order import Key, find_due
from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot, Kept


class Planner:
    """Plans for the jobs, runs, pools, queues and shares that it was told. Pure: `now` is given, and never goes back.

    `submit` and `end` tell of jobs, `start` that a job runs (a plan by itself starts nothing), `change` of all else.
    What is told again is from then on as it is told. Run times that agree in their first `run_time_bits` binary digits
    are planned as one class.
    """

    def __init__(self, run_time_bits: int = RUN_TIME_BITS) -> None:
        self.books = Books(run_time_bits)
        self._due: list[tuple[datetime, str, JobClass]] = []
        self._pools_changed = False

    @classmethod
    def of(cls, snapshot: ClusterSnapshot) -> "Planner":
        """Make a planner that was told all of a snapshot."""
        planner = cls()
        for told in (snapshot.pools, snapshot.queues, snapshot.shares):
            for value in told:
                planner.change(value)
        for run in snapshot.running:
            planner.start(run)
        for kept in snapshot.kept:  # after the runs: one that is being stopped may be of the very job
            planner.change(kept)
        for job in snapshot.waiting:
            planner.submit(job)
        return planner

    def submit(self, job: WaitingJob) -> None:
        """Take a job that waits, that waits again, or that is another than was told; it runs no longer."""
        books, job_id = self.books, job.job_id
        if job_id in books.waiting or job_id in books.runs.running:
            self._withdraw(job_id)
            self._end_run(job_id)
        books.waiting[job_id] = job
        books.homes.add(job)

    def start(self, run: RunningJob) -> None:
        """Take a job that holds GPUs from now on; it waits no longer."""
        self._withdraw(run.job_id)
        self._end_run(run.job_id)
        self.books.kept.pop(run.job_id, None)
        self.books.runs.start(run)

    def end(self, job_id: str) -> None:
        """Forget a job that waits or runs no longer. One that is not known is none of ours."""
        self._withdraw(job_id)
        self._end_run(job_id)
        self.books.kept.pop(job_id, None)

    def release(self, job_id: str) -> None:
        """Forget that GPUs are kept for a job."""
        self.books.kept.pop(job_id, None)

    def change(self, told: PoolState | QueueState | ContractShare | Kept) -> None:
        """Take a pool, a queue, a contract's share or kept GPUs as they are from now on."""
        match told:
            case PoolState():
                self._change_pool(told.name, told)
            case QueueState():
                self._change_queue(told.name, told)
            case ContractShare():
                self.books.shares.change_contract(told)
                self.books.homes.move_contracts([told.contract_id])
            case Kept():
                self.books.kept[told.job_id] = told

    def forget_pool(self, name: str) -> None:
        """Forget a pool that is no more; its runs run on."""
        if name in self.books.pools:
            self._change_pool(name, None)

    def forget_queue(self, name: str) -> None:
        """Forget a queue that is no more; its jobs wait until they are told otherwise."""
        if self.books.shares.find_queue(name) is not None:
            self._change_queue(name, None)

    def plan(self, now: datetime) -> Plan:
        """Plan what starts now. Changes nothing: what is started must be told by `start`."""
        self.books.scene.now = now
        if self._pools_changed:
            self._pools_changed = False
            self.books.homes.refresh_pools()
        self.books.runs.correct_ends(now)
        self._rank_due(now)
        self._rank_moved()
        self.books.scene.fallen_behind.clear()
        plan = Round(self.books, now).run()
        self.books.homes.moved.update(each for each in self.books.scene.fallen_behind if isinstance(each, JobClass))
        return plan

    def _withdraw(self, job_id: str) -> None:
        job = self.books.waiting.pop(job_id, None)
        if job is not None:
            self.books.homes.withdraw(job)

    def _end_run(self, job_id: str) -> None:
        ended = self.books.runs.end(job_id)
        if ended is not None:
            self.books.let_go(job_id, self.books.scene.now + KEPT_AFTER)
            self.books.homes.move_contracts([ended.contract_id])

    def _change_pool(self, name: str, state: PoolState | None) -> None:
        with self.books.runs.rebook(lambda run: run.pool == name) as touched:
            self.books.pools.pop(name, None)
            if state is not None:
                self.books.pools[name] = PoolBook(state)
        self.books.homes.move_contracts({run.contract_id for run in touched})
        self._pools_changed = True

    def _change_queue(self, name: str, state: QueueState | None) -> None:
        queue = self.books.shares.provide_queue(name)
        with self.books.runs.rebook(lambda run: run.queue == name) as touched:
            queue.state = state
        self.books.homes.rehome(queue)
        self.books.homes.move_contracts({run.contract_id for run in touched})
        self._pools_changed = True

    def _rank_due(self, now: datetime) -> None:
        """Put the classes ahead of which a job has waited long enough by now."""
        while self._due and self._due[0][0] <= now:
            self.books.homes.moved.add(heappop(self._due)[2])

    def _rank_moved(self) -> None:
        """Enter the classes that moved where they stand now, kind by kind."""
        of_kinds: defaultdict[Kind, list[tuple[Key, JobClass]]] = defaultdict(list)
        rank = self._rank
        for job_class in self.books.homes.moved:
            key = rank(job_class)
            if key is not None:
                of_kinds[job_class.kind].append((key, job_class))
        self.books.homes.moved.clear()
        for kind, entered in of_kinds.items():
            kind.group.ranking.enter(kind.ranking.enter_all(entered), kind)

    def _rank(self, job_class: JobClass) -> Key | None:
        """Rank a class as it stands now, and note when a job of it will have waited long enough; None: it has none."""
        head, queue = job_class.find_head(), job_class.queue.state
        if head is None or queue is None:
            return None
        due = find_due(head, queue, job_class.kind.discipline)
        key = job_class.rank(head, due)
        if job_class.by_due is not None:
            due = job_class.by_due.find_next()
        if due is not None and due > self.books.scene.now and due != job_class.due:
            job_class.due = due
            heappush(self._due, (due, head.job_id, job_class))
        return key
