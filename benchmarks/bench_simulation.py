"""How long the replay of 100,000 jobs takes at a load of 0.9, with at most 1,000 of them waiting on average.

The limit is a minute of this machine; what is measured is CPU time, so that what else runs does not count. The peer of
the second row sorts the waiting jobs of the mean line by rank at every event, and does nothing else.
"""

import random
import time
from collections.abc import Callable

from benchmarks.row import Row
from benchmarks.synthetic_trace import make_trace
from broker.scheduling.planning.model import Discipline
from broker.scheduling.simulation.measures import measure_run
from broker.scheduling.simulation.policy import Backfill, PolicySettings
from broker.scheduling.simulation.simulate import EstimateKind, Setup, simulate

JOBS, GPUS, NODE_SIZE, LOAD, SEED = 100_000, 256, 8, 0.9, 15
MOST_WAITING = 1_000
LIMIT_SECONDS = 60
POLICY = PolicySettings(Discipline.SHORTEST_REMAINING, Backfill.SHORTEST_FIRST)


def measure() -> list[Row]:
    jobs = make_trace(JOBS, total_gpus=GPUS, load=LOAD, seed=SEED)
    begun = time.process_time()
    ended = simulate(jobs, Setup(GPUS, NODE_SIZE, POLICY, EstimateKind.USER)).ended
    seconds = time.process_time() - begun
    waiting = sum(job.started_at - job.submitted_at for job in ended) / measure_run(ended, GPUS).makespan_s
    title = f"replay of {JOBS:,} jobs at load {LOAD}"
    sorting = time_call(sort_line_at_every_event(round(waiting)))
    return [
        Row(title, "CPU s", seconds, "a minute", LIMIT_SECONDS, 1),
        Row(title, "CPU s", seconds, f"sorting {waiting:.0f} waiting jobs at every event", sorting, 1),
        Row(f"{title}: waiting, on average", "jobs", waiting, "most", MOST_WAITING, 1),
    ]


def sort_line_at_every_event(waiting: int) -> Callable[[], None]:
    source = random.Random(SEED)
    line = [(source.random(), number) for number in range(waiting)]

    def sort() -> None:
        for _ in range(2 * JOBS):
            sorted(line)

    return sort


def time_call(act: Callable[[], None]) -> float:
    begun = time.process_time()
    act()
    return time.process_time() - begun
