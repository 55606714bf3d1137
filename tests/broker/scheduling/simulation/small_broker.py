"""A broker in small: jobs come, cycles run a while after what woke them, runs end and are lost; all of it recorded."""

import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.values.answers import Preemption, Start
from broker.scheduling.planning.values.jobs import RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import NodeState, PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot, Kept
from broker.scheduling.simulation.recording import CycleRecord, RecordedState, record_cycle
from tests.broker.scheduling.planning.whole_plan import plan_cycle

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)
QUEUES = (QueueState("standard", 100), QueueState("priority", 200))
ONE_POOL = (PoolState("one", "a100", 2, 2),)
KEPT_SECONDS = 120


def moment(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Faults:
    """What goes wrong: shares of runs that are lost, of starts that fail for once, of runs whose process lingers.

    Runs that a plan stops for others save within a minute, and wait again.
    `node_seconds`: how often a node goes down, for a while; `away_seconds`: how often the broker is away. 0: never.
    """

    lost: float = 0.1
    failed_starts: float = 0.0
    lingering: float = 0.0
    node_seconds: float = 0.0
    away_seconds: float = 0.0


class SmallBroker:
    """The broker. `starts` are what really happened, as `records` tell it in the end."""

    def __init__(
        self,
        seed: int,
        pools: tuple[PoolState, ...] = ONE_POOL,
        *,
        queues: tuple[QueueState, ...] = QUEUES,
        shares: tuple[ContractShare, ...] = (),
        faults: Faults | None = None,
        most_gpus: int = 1,
    ) -> None:
        self.random = random.Random(seed)
        self.pools, self.queues, self.shares = pools, queues, shares
        self.faults = faults or Faults()
        self.most_gpus = most_gpus
        self.jobs: dict[str, WaitingJob] = {}
        self.waiting: dict[str, WaitingJob] = {}
        self.running: dict[str, RunningJob] = {}
        self.ends: dict[str, float] = {}
        self.kept: dict[str, Kept] = {}
        self.stopping: set[str] = set()
        self.preempted = 0
        self.state: RecordedState | None = None
        self.records: list[CycleRecord] = []
        self.snapshots: list[ClusterSnapshot] = []
        self.starts: list[tuple[datetime, str]] = []
        self.waits: list[float] = []
        self.came = 0
        self.came_at: dict[str, float] = {}

    def submit(self, seconds: float, *, queue: str | None = None) -> None:
        self.came += 1
        job_id = f"job_{self.came:04}"
        length = self.random.randint(5, 300)
        options = TypeOption("a100", length, 2 * length, 100 * length), TypeOption("l40s", 2 * length, 4 * length)
        shape = Shape(self.random.randint(1, self.most_gpus), options)
        contract = self.random.choice(("con_a", "con_b", "con_c"))
        chosen = next((each for each in self.queues if each.name == queue), None) or self.random.choice(self.queues)
        job = WaitingJob(job_id, chosen.contract_id or contract, chosen.name, shape, moment(seconds))
        self.jobs[job_id] = self.waiting[job_id] = job
        self.came_at[job_id] = seconds

    def cycle(self, seconds: float) -> None:
        self._end_runs(seconds)
        self._break_node(seconds)
        snapshot = self._look(seconds)
        plan = plan_cycle(snapshot, now=moment(seconds))
        started = [start for start in plan.starts if self.random.random() >= self.faults.failed_starts]
        for start in started:
            self._start(start, seconds)
        for preemption in plan.preemptions:
            self._stop(preemption, seconds)
        names = [start.job_id for start in started]
        withheld = tuple(start.job_id for start in plan.starts if start.job_id not in names)
        record = replace(record_cycle(self.state, snapshot, names, moment(seconds)), withheld=withheld)
        self.state = self.state or RecordedState()
        self.state.take(record)
        if record.says_something:
            self.records.append(record)
            self.snapshots.append(snapshot)
        self.starts += [(moment(seconds), name) for name in names]

    def _look(self, seconds: float) -> ClusterSnapshot:
        self.kept = {name: kept for name, kept in self.kept.items() if kept.until > moment(seconds)}
        by_pool: Counter[str] = Counter()
        by_node: Counter[str] = Counter()
        for run in self.running.values():
            by_pool[run.pool] += run.gpus
            for place in run.places:
                by_node[place.node] += place.gpus
        pools = tuple(replace(pool, free_gpus=_count_free(pool, by_pool, by_node)) for pool in self.pools)
        waiting, running = tuple(self.waiting.values()), tuple(self.running.values())
        kept = tuple(each for each in self.kept.values() if each.job_id in self.waiting)
        return ClusterSnapshot(pools, self.queues, waiting, running, self.shares, kept)

    def _start(self, start: Start, seconds: float) -> None:
        job = self.waiting.pop(start.job_id)
        pool = next(pool for pool in self.pools if pool.name == start.pool)
        option = job.shape.find_option(pool.sku)
        assert option is not None
        places = start.places if pool.nodes else ()
        end = moment(seconds + option.p50_seconds)
        self.running[job.job_id] = RunningJob(
            job.job_id, job.contract_id, start.pool, start.gpus, moment(seconds), end, queue=job.queue, places=places
        )
        self.ends[job.job_id] = seconds + option.p50_seconds * self.random.uniform(0.5, 1.5)
        self.waits.append(seconds - self.came_at[job.job_id])

    def _stop(self, preemption: Preemption, seconds: float) -> None:
        """Have a run save and end within its grace; what it leaves is kept for whom it was stopped."""
        victim, self.preempted = preemption.job_id, self.preempted + 1
        saved_at = seconds + self.random.uniform(1, preemption.grace_seconds)
        if saved_at < self.ends[victim]:
            self.ends[victim] = saved_at
            self.stopping.add(victim)
        self.running[victim] = replace(self.running[victim], is_stopping=True)
        until = moment(seconds + preemption.grace_seconds + KEPT_SECONDS)
        known = self.kept.get(preemption.for_job)
        victims = (victim,) if known is None else (*known.victims, victim)
        gpus = self.jobs[preemption.for_job].gpus
        self.kept[preemption.for_job] = Kept(preemption.for_job, preemption.pool, preemption.node, gpus, until, victims)

    def _end_runs(self, seconds: float) -> None:
        for job_id in [job_id for job_id, end in self.ends.items() if end <= seconds]:
            run = self.running.pop(job_id)
            del self.ends[job_id]
            if job_id not in self.jobs:
                continue
            if job_id in self.stopping or self.random.random() < self.faults.lost:
                self.stopping.discard(job_id)
                self._wait_again(job_id, seconds)
            if self.random.random() < self.faults.lingering:
                name = f"run_of_{job_id}_{seconds}"
                self.running[name] = replace(run, job_id=name, is_stopping=True)
                self.ends[name] = seconds + self.random.uniform(1, 40)

    def _wait_again(self, job_id: str, seconds: float, *, expedited: bool = False) -> None:
        self.waiting[job_id] = replace(self.jobs[job_id], expedited=expedited)
        self.came_at[job_id] = seconds

    def _break_node(self, seconds: float) -> None:
        """Have a node go down with all that runs on it, or come back."""
        if not self.faults.node_seconds or self.random.random() > 60 / self.faults.node_seconds:
            return
        number = self.random.randrange(len(self.pools))
        pool = self.pools[number]
        node = self.random.choice(pool.nodes)
        goes_down = node.state == NodeState.OPEN
        changed = replace(node, state=NodeState.DOWN if goes_down else NodeState.OPEN)
        nodes = tuple(changed if each is node else each for each in pool.nodes)
        self.pools = tuple(replace(each, nodes=nodes) if each is pool else each for each in self.pools)
        if goes_down:
            for run in [run for run in self.running.values() if any(place.node == node.name for place in run.places)]:
                del self.running[run.job_id], self.ends[run.job_id]
                if run.job_id in self.jobs:
                    self._wait_again(run.job_id, seconds, expedited=True)
                    until = moment(seconds + KEPT_SECONDS)
                    self.kept[run.job_id] = Kept(run.job_id, run.pool, node.name, run.gpus, until)


def _count_free(pool: PoolState, by_pool: Counter[str], by_node: Counter[str]) -> int:
    if not pool.nodes:
        return pool.total_gpus - by_pool[pool.name]
    return sum(node.total - by_node[node.name] for node in pool.nodes if node.state == NodeState.OPEN)


def run_broker(seed: int, jobs: int = 200, *, every_seconds: float = 80, **options) -> SmallBroker:
    """Run until all jobs are done: a job every so many seconds, a cycle a moment after each submission and end."""
    broker = SmallBroker(seed, **options)
    away_seconds = broker.faults.away_seconds
    now = 0.0
    while broker.came < jobs or broker.waiting or broker.running:
        coming = now + broker.random.expovariate(1 / every_seconds) if broker.came < jobs else float("inf")
        now = min(coming, *broker.ends.values(), now + 60)
        if now == coming:
            broker.submit(now)
        now += broker.random.uniform(0.001, 0.3)
        if away_seconds and broker.random.random() < 60 / away_seconds:
            now += broker.random.uniform(20, 120)
        broker.cycle(now)
    return broker
