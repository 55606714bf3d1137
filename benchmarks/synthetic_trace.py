"""A trace made up for speed: bursts of jobs of many lengths and sizes, at a load that is given. Seeded."""

import random

from broker.scheduling.simulation.trace import TraceJob

GPUS = (1, 1, 1, 1, 2, 2, 4, 8)
MEDIAN_SECONDS, SPREAD = 600.0, 1.2
BURST = 1_000
OWNERS = 200


def make_trace(jobs: int, *, total_gpus: int, load: float, seed: int) -> list[TraceJob]:
    """Make jobs whose work is `load` of the GPUs' time until the last comes; they come in bursts of about 1,000."""
    source = random.Random(seed)
    sizes = [source.choice(GPUS) for _ in range(jobs)]
    lengths = [float(round(source.lognormvariate(0, SPREAD) * MEDIAN_SECONDS) + 1) for _ in range(jobs)]
    span = sum(gpus * seconds for gpus, seconds in zip(sizes, lengths, strict=True)) / (total_gpus * load)
    bursts = sorted(source.uniform(0, span) for _ in range(jobs // BURST))
    times = sorted(source.choice(bursts) + source.expovariate(1 / 600) for _ in range(jobs))
    return [
        TraceJob(str(number), came, seconds, gpus, f"owner {source.randrange(OWNERS)}", seconds * source.uniform(1, 5))
        for number, (came, seconds, gpus) in enumerate(zip(times, lengths, sizes, strict=True))
    ]
