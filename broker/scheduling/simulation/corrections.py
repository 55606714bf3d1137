"""When a running job is expected to end, its prediction corrected where it has run longer already. Pure."""

from collections.abc import Sequence
from itertools import accumulate

from broker.scheduling.simulation.job import SimulatedJob

MINUTE, HOUR = 60, 3600
# What is added to a prediction each time that it turns out too short.
# Source: Tsafrir, Etsion, Feitelson 2007, section 4.2.
STEPS = (*(n * MINUTE for n in (1, 5, 15, 30)), *(n * HOUR for n in (1, 2, 5, 10, 20, 50, 100)))
TOTALS: Sequence[int] = tuple(accumulate(STEPS))


def expect_end(job: SimulatedJob, now: float) -> float:
    """Expect the end of a running job: after `now`, and where that allows it not above what its user asked for."""
    assert job.started_at is not None
    begun = job.started_at + job.restart_seconds - job.served_seconds
    expected = begun + job.estimated_seconds
    if expected > now:
        return expected
    corrected = next((expected + total for total in TOTALS if expected + total > now), now + STEPS[-1])
    most = begun + job.most_seconds if job.most_seconds is not None else corrected
    return min(corrected, most) if most > now else corrected
