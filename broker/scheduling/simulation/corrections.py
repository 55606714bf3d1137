"""When a running job is expected to end, its prediction corrected where it has run longer already. Pure."""

from collections.abc import Sequence
from itertools import accumulate

from broker.scheduling.simulation.job import SimulatedJob

MINUTE, HOUR = 60, 3600
# What is added to a prediction each time that it turns out too short.
# Source: Tsafrir, Etsion, Feitelson 2007, section 4.2.
STEPS = (*(n * MINUTE for n in (1, 5, 15, 30)), *(n * HOUR for n in (1, 2, 5, 10, 20, 50, 100)))
TOTALS: Sequence[int] = tuple(accumulate(STEPS))


def correct_seconds(estimated: float, served: float, most: float | None) -> float:
    """Correct the seconds of work that a job is thought to need in all: more than were served, and if that allows it
    not above `most`, what its user asked for.
    """
    if estimated > served:
        return estimated
    corrected = next((estimated + total for total in TOTALS if estimated + total > served), served + STEPS[-1])
    return min(corrected, most) if most is not None and most > served else corrected


def expect_end(job: SimulatedJob, now: float) -> float:
    """Expect the end of a running job: after `now`."""
    assert job.started_at is not None
    begun = job.started_at + job.restart_seconds - job.served_seconds
    return begun + correct_seconds(job.estimated_seconds, now - begun, job.most_seconds)


def expect_left(job: SimulatedJob, now: float) -> float:
    """Expect the seconds of work that are left of a job, whether it waits or runs; a restart is not among them."""
    served = job.count_served(now)
    if not job.runs:
        return job.estimated_seconds
    return correct_seconds(job.estimated_seconds, served, job.most_seconds) - served
