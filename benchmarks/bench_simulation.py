"""How long the replay of 100,000 jobs takes at a load of 0.9, with at most 1,000 of them waiting on average.

The limit is a minute of this machine; what is measured is CPU time, so that what else runs does not count. The peer of
the policy for comparison sorts a line as long as the mean one at every event, and does nothing else.
"""

import random
import time
from collections.abc import Callable, Sequence

from benchmarks.row import Row
from benchmarks.synthetic_trace import make_trace
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.simulation.measures import measure_run
from broker.scheduling.simulation.policy import Backfill, PolicySettings
from broker.scheduling.simulation.simulate import EstimateKind, Setup, simulate
from broker.scheduling.simulation.trace import TraceJob

JOBS, GPUS, NODE_SIZE, LOAD, SEED = 100_000, 256, 8, 0.9, 15
MOST_WAITING = 1_000
LIMIT_SECONDS = 60
TODAYS = PolicySettings()
COMPARISON = PolicySettings(Discipline.SHORTEST_REMAINING, Backfill.SHORTEST_FIRST)


def measure() -> list[Row]:
    jobs = make_trace(JOBS, total_gpus=GPUS, load=LOAD, seed=SEED)
    seconds, waiting = time_replay(jobs, TODAYS)
    title = f"replay of {JOBS:,} jobs at load {LOAD}"
    sorting = time_call(sort_line_at_every_event(round(waiting)))
    compared, _ = time_replay(jobs, COMPARISON)
    return [
        Row(f"{title}, today's planner", "CPU s", seconds, "a minute", LIMIT_SECONDS, 1),
        Row(f"{title}, today's planner: waiting on average", "jobs", waiting, "most", MOST_WAITING, 1),
        Row(f"{title}, shortest service, backfilled", "CPU s", compared, "sorting the line at each event", sorting, 1),
    ]


def time_replay(jobs: Sequence[TraceJob], policy: PolicySettings) -> tuple[float, float]:
    """Time a replay: CPU seconds, and how many jobs waited on average."""
    begun = time.process_time()
    ended = simulate(jobs, Setup(GPUS, NODE_SIZE, policy, EstimateKind.USER)).ended
    seconds = time.process_time() - begun
    waited = sum(job.started_at - job.submitted_at for job in ended)
    return seconds, waited / measure_run(ended, GPUS).makespan_s


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
