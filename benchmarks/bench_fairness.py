"""What a contract that submits 100,000 jobs at once does to the waits of all others, which fill 80 % of the GPUs.

All jobs take equally long, in our own simulator under the planner that plans live. The limit is what the others' p95
wait is without the attack, and 10 % more, or one run more, whichever is longer.
"""

import math
import random
from collections.abc import Sequence

from benchmarks.row import Row
from broker.scheduling.simulation.policy import PolicySettings
from broker.scheduling.simulation.simulate import EstimateKind, Setup, simulate
from broker.scheduling.simulation.trace import TraceJob

GPUS, NODE_SIZE, RUN_SECONDS, LOAD, SEED = 64, 8, 600.0, 0.8, 15
CONTRACTS, JOBS, ATTACK = 20, 6_000, 100_000
ATTACKER, ATTACK_AT = "attacker", 3_600.0
SETUP = Setup(GPUS, NODE_SIZE, PolicySettings(), EstimateKind.PERFECT)


def measure() -> list[Row]:
    others = make_others()
    alone, attacked = find_p95_wait(others), find_p95_wait(sorted([*others, *make_attack()], key=when))
    limit = max(1.1 * alone, alone + RUN_SECONDS)
    name = f"p95 wait of {CONTRACTS} contracts at {LOAD:.0%} load while one submits {ATTACK:,} jobs"
    return [Row(name, "s", attacked, f"without it ({alone:.0f} s) and 10 % or a run", limit, 1.0)]


def make_others() -> list[TraceJob]:
    """Make the jobs of all others: they come by chance, at their load."""
    draws = random.Random(SEED)
    moment, jobs = 0.0, list[TraceJob]()
    for number in range(JOBS):
        moment += draws.expovariate(LOAD * GPUS / RUN_SECONDS)
        jobs.append(make_job(f"job_{number}", moment, f"con_{draws.randrange(CONTRACTS)}"))
    return jobs


def make_attack() -> list[TraceJob]:
    return [make_job(f"{ATTACKER}_{number}", ATTACK_AT, ATTACKER) for number in range(ATTACK)]


def make_job(job_id: str, moment: float, owner: str) -> TraceJob:
    return TraceJob(job_id, moment, RUN_SECONDS, 1, owner=owner)


def when(job: TraceJob) -> float:
    return job.submitted_at


def find_p95_wait(jobs: Sequence[TraceJob]) -> float:
    """Find the wait that 95 of a hundred jobs of the others do not pass. Units: seconds."""
    ended = simulate(jobs, SETUP).ended
    waits = sorted(job.started_at - job.submitted_at for job in ended if not job.job_id.startswith(ATTACKER))
    return waits[math.ceil(0.95 * len(waits)) - 1]
