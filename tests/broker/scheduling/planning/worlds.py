"""Random worlds to plan for: pools of nodes, queues, contracts; and jobs that come, start, end and come back."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.jobs import Preference, RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import Discipline, Node, NodeState, PoolState
from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueLimits, QueueMode, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot

BEGAN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SKUS = ("a100", "l40s")
CONTRACTS = ("con_a", "con_b", "con_c")
QUEUES = ("standard", "priority", "dedicated:con_a")


@dataclass
class World:
    """What is true, told to a planner step by step; `seed` makes all of it."""

    seed: int
    planner: Planner = field(default_factory=Planner)
    now: datetime = BEGAN
    waiting: dict[str, WaitingJob] = field(default_factory=dict)
    running: dict[str, RunningJob] = field(default_factory=dict)
    pools: dict[str, PoolState] = field(default_factory=dict)
    queues: dict[str, QueueState] = field(default_factory=dict)
    shares: dict[str, ContractShare] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.disciplines = (Discipline.FAIR,) if self.random.random() < 0.7 else tuple(Discipline)
        for name in ("one", "two"):
            self.change_pool(name)
        for name in QUEUES:
            self.change_queue(name)

    def snapshot(self) -> ClusterSnapshot:
        """Take all that is true, in random order."""
        told = (self.pools, self.queues, self.waiting, self.running, self.shares)
        shuffled = [tuple(self.random.sample(sorted(each.values(), key=repr), len(each))) for each in told]
        return ClusterSnapshot(*shuffled)

    def step(self) -> None:
        """Have something happen."""
        self.random.choice(
            (self.submit, self.submit, self.submit, self.end, self.end, self.wait, self.change, self.repeat)
        )()

    def submit(self) -> None:
        pick = self.random
        self.made += 1
        skus = pick.choice(((None,), SKUS, SKUS[:1], SKUS[1:]))
        options = tuple(
            TypeOption(sku, seconds := pick.choice((60, 600, 3600)), 2 * seconds, pick.randint(1, 9)) for sku in skus
        )
        shape = Shape(pick.choice((1, 1, 2, 4)), options, pick.choice(tuple(Preference)))
        contract, queue = pick.choice(CONTRACTS), pick.choice(QUEUES)
        pool = pick.choice((None, None, "one", "two", "gone"))
        born = self.now - timedelta(seconds=pick.randrange(3600))
        own, is_expedited = pick.choice((None, None, None, 150, 900)), pick.random() < 0.05
        job = WaitingJob(f"job_{self.made}", contract, queue, shape, born, pool, expedited=is_expedited, priority=own)
        self.waiting[job.job_id] = job
        self.planner.submit(job)

    def end(self) -> None:
        known = sorted({**self.waiting, **self.running})
        if known:
            job_id = self.random.choice(known)
            self.waiting.pop(job_id, None)
            self.running.pop(job_id, None)
            self.planner.end(job_id)

    def wait(self) -> None:
        self.now += timedelta(seconds=self.random.choice((1, 60, 1800)))

    def change(self) -> None:
        self.random.choice((self.change_pool, self.change_queue, self.change_share, self.forget))()

    def repeat(self) -> None:
        """Tell again of a job that is known: it waits, or its run is expected to end later."""
        known = sorted({**self.waiting, **self.running})
        if not known:
            return
        job_id = self.random.choice(known)
        if job_id in self.waiting:
            told = replace(self.waiting[job_id], expedited=True)
            self.waiting[job_id] = told
            self.planner.submit(told)
        else:
            run = self.running[job_id]
            self.running[job_id] = replace(run, p50_end=run.p50_end + timedelta(hours=1), p90_end=None)
            self.planner.start(self.running[job_id])

    def forget(self) -> None:
        """Have a queue be no more, or a pool that is told anew at once."""
        name = self.random.choice((*QUEUES, "one"))
        if name in QUEUES:
            self.queues.pop(name, None)
            self.planner.forget_queue(name)
        else:
            self.planner.forget_pool(name)
            self.planner.change(self.pools[name])

    def change_pool(self, name: str | None = None) -> None:
        pick = self.random
        name = name or pick.choice(sorted(self.pools))
        known = self.pools.get(name)
        if known is None:
            nodes = tuple(Node(f"{name}{number}", pick.choice((2, 4))) for number in range(pick.randint(1, 3)))
        else:
            states = pick.choices(tuple(NodeState), (8, 1, 1), k=len(known.nodes))
            nodes = tuple(replace(node, state=state) for node, state in zip(known.nodes, states, strict=True))
        total = sum(node.total for node in nodes)
        pool = PoolState(name, SKUS[name == "two"], total, total, pick.random() < 0.9, nodes=nodes)
        self.pools[name] = replace(pool, discipline=pick.choice(self.disciplines))
        self.planner.change(self.pools[name])

    def change_queue(self, name: str | None = None) -> None:
        pick = self.random
        name = name or pick.choice(QUEUES)
        self.queues[name] = QueueState(
            name,
            pick.choice((100, 200)),
            mode=pick.choices(tuple(QueueMode), (8, 1, 1))[0],
            max_wait=pick.choice((None, timedelta(hours=1))),
            limits=QueueLimits(jobs=pick.choice((None, None, 2)), gpus=pick.choice((None, None, 3))),
            allowed_pools=pick.choice((None, None, frozenset({"one"}))),
            contract_id="con_a" if name == "dedicated:con_a" else None,
        )
        self.planner.change(self.queues[name])

    def change_share(self) -> None:
        pick = self.random
        name = pick.choice(CONTRACTS)
        guarantees = (Guarantee("a100", 2, pick.choice((0, 1, None))),) if name == "con_a" else ()
        usage = pick.randrange(10**10)
        self.shares[name] = ContractShare(name, pick.choice((50, 100)), usage, guarantees, pick.choice((None, None, 4)))
        self.planner.change(self.shares[name])

    def apply(self, start: Start) -> None:
        """Have a start of the plan begin."""
        job = self.waiting.pop(start.job_id)
        option = job.shape.find_option(self.pools[start.pool].sku)
        assert option is not None, "a job starts on a type that it accepts"
        ends = [self.now + timedelta(seconds=seconds) for seconds in (option.p50_seconds, option.p90_seconds)]
        run = RunningJob(job.job_id, job.contract_id, start.pool, start.gpus, self.now, *ends, job.queue, start.places)
        self.running[job.job_id] = run
        self.planner.start(run)
