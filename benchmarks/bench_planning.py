"""How long the planner takes where 100,000 jobs wait: cold, when nothing changed, and after one run ended.

The peer is `sorted()` of the same jobs by time and id: what any planner that orders them at all must do. The jobs are
of 2,000 contracts in two queues, each with twelve shapes of its own: 1 to 8 GPUs, estimates of up to two days, types
drawn at random; the pools are 1,000 nodes of 8 GPUs of four types. In a row of its own no two jobs have one shape.
CPU time, the least of some tries; the collector does not look at the jobs themselves while either side works, and at
what is made meanwhile as seldom as in a served process.
"""

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks.row import Row
from broker.processes.http_server import YOUNG_OBJECTS
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.jobs import RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import Node, PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot

NOW = datetime(2026, 11, 24, tzinfo=UTC)
JOBS, FEWER_JOBS, CONTRACTS, SHAPES = 100_000, 10_000, 2_000, 12
SKUS = ("a100", "h100", "l40s", "rtx4090")
POOL_NODES, NODE_GPUS = 1_000 // len(SKUS), 8
COLD, WARM, CHANGED, GROWTH = 12.0, 1.0, 0.1, 1.6
TRIES, CHANGES = 3, 21


@dataclass(frozen=True)
class Costs:
    """What it took to sort the jobs, and to plan them. Units: seconds of CPU."""

    sort: float
    cold: float
    warm: float
    changed: float


def measure() -> list[Row]:
    usual = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS)
    try:
        return _measure()
    finally:
        gc.set_threshold(*usual)


def _measure() -> list[Row]:
    many, fewer = (measure_costs(make_snapshot(jobs, SHAPES)) for jobs in (JOBS, FEWER_JOBS))
    apart = measure_costs(make_snapshot(JOBS, shapes=None))
    peer = f"sorted() of {JOBS:,} jobs"
    growth = many.cold / fewer.cold / (JOBS / FEWER_JOBS)
    return [
        Row(f"planning {JOBS:,} jobs, cold", "s CPU", many.cold, peer, many.sort, COLD),
        Row(f"planning {JOBS:,} jobs of {JOBS:,} shapes, cold", "s CPU", apart.cold, peer, apart.sort, COLD),
        Row(f"planning {JOBS:,} jobs, nothing changed", "s CPU", many.warm, peer, many.sort, WARM),
        Row(f"planning {JOBS:,} jobs, one run ended", "s CPU", many.changed, peer, many.sort, CHANGED),
        Row("planning cold, for each job", "of 10,000 jobs", growth, "10,000 jobs", 1.0, GROWTH),
    ]


def make_snapshot(jobs: int, shapes: int | None) -> ClusterSnapshot:
    """Make the same snapshot each time; `shapes` has each contract; None: each job has one of its own."""
    pick = random.Random(13)
    numbers = range(POOL_NODES)
    pools = tuple(
        PoolState(sku, sku, POOL_NODES * NODE_GPUS, 0, nodes=tuple(Node(f"{sku}-{n}", NODE_GPUS) for n in numbers))
        for sku in SKUS
    )
    day = timedelta(days=1)
    queues = QueueState("standard", 100, max_wait=3 * day), QueueState("priority", 200, max_wait=3 * day)
    shares = tuple(ContractShare(f"con_{n}", usage=pick.randrange(10**13)) for n in range(CONTRACTS))
    known = [[_make_shape(pick) for _shape in range(shapes or 0)] for _contract in range(CONTRACTS)]
    return ClusterSnapshot(pools, queues, tuple(_make_job(pick, number, known) for number in range(jobs)), (), shares)


def _make_job(pick: random.Random, number: int, known: list[list[Shape]]) -> WaitingJob:
    contract = pick.randrange(CONTRACTS)
    shape = pick.choice(known[contract]) if known[contract] else _make_shape(pick)
    submitted_at = NOW - timedelta(seconds=pick.randrange(86_400 * 5))
    queue = pick.choice(("standard", "standard", "priority"))
    return WaitingJob(f"job_{number:06}", f"con_{contract}", queue, shape, submitted_at)


def _make_shape(pick: random.Random) -> Shape:
    seconds = pick.randrange(600, 172_800)
    skus = sorted(pick.sample(SKUS, pick.randint(1, len(SKUS))))
    options = tuple(TypeOption(sku, seconds, seconds * 13 // 10, seconds * 100) for sku in skus)
    return Shape(pick.choice((1, 1, 1, 2, 4, 8)), options)


def measure_costs(snapshot: ClusterSnapshot) -> Costs:
    """Measure both sides in turns."""
    gc.collect()
    gc.freeze()
    sorts, colds = [], []
    for _try in range(TRIES):
        sorts.append(_take_time(lambda: sorted(snapshot.waiting, key=lambda job: (job.submitted_at, job.job_id))))
        colds.append(_take_time(lambda: Planner.of(snapshot).plan(NOW)))
        gc.collect()
    planner = Planner.of(snapshot)
    runs = [_start(planner, start, NOW) for start in planner.plan(NOW).starts]
    warm = min(_take_time(lambda: planner.plan(NOW)) for _try in range(TRIES))
    changes = sorted(_change(planner, runs, number) for number in range(CHANGES))
    gc.unfreeze()
    return Costs(min(sorts), min(colds), warm, changes[CHANGES // 2])


def _change(planner: Planner, runs: list[RunningJob], number: int) -> float:
    """End a run and plan; what takes its place is started beside the clock."""
    now = NOW + timedelta(seconds=30 * (number + 1))
    ended = runs.pop(number * len(runs) // CHANGES)

    def change() -> None:
        planner.end(ended.job_id)
        planner.plan(now)

    seconds = _take_time(change)
    runs += [_start(planner, start, now) for start in planner.plan(now).starts]
    return seconds


def _start(planner: Planner, start: Start, now: datetime) -> RunningJob:
    job = planner.books.waiting[start.job_id]
    option = job.shape.find_option(start.pool)
    assert option is not None, "a job starts on a type that it accepts"
    ends = [now + timedelta(seconds=seconds) for seconds in (option.p50_seconds, option.p90_seconds)]
    run = RunningJob(job.job_id, job.contract_id, start.pool, start.gpus, now, *ends, job.queue, start.places)
    planner.start(run)
    return run


def _take_time(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
