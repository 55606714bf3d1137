"""Whether a deadline can be promised: all jobs that have one are played forward, the earliest due first. Pure.

A deadline is promised only where, with everything promised before, each job ends in time. Jobs without a promise do not
count: they yield at once. Preemptive earliest deadline first; source of the rule: Liu and Layland, 1973; with GPUs of
one node all or none it is no longer optimal, and playing forward, with each restart, is what makes it safe.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from broker.scheduling.simulation.layout import Contender, Nodes, Places, place_in_order

# Seconds: ends are sums of many floats, and a promise is not broken by their last digits.
TOLERANCE = 1e-6


@dataclass(slots=True)
class DatedJob:
    """A job that must end by `due_at`: seconds of work left, and of the restart that it is in.

    `places` is empty where it waits; one that has run pays the restart when it runs again.
    """

    number: int
    gpus: int
    left_seconds: float
    due_at: float
    places: Places = field(default_factory=dict)
    restart_seconds: float = 0.0
    has_run: bool = False

    @property
    def urgency(self) -> tuple[float, int]:
        """What orders jobs: the earliest due goes first, then the one that came first."""
        return self.due_at, self.number

    @property
    def seconds_to_end(self) -> float:
        return self.restart_seconds + self.left_seconds

    def move(self, places: Places, restart_seconds: float) -> None:
        """Take other places, or none."""
        if places != self.places:
            self.places = places
            self.restart_seconds = restart_seconds if self.has_run and places else 0.0
            self.has_run = self.has_run or bool(places)

    def run(self, seconds: float) -> None:
        """Run on: first the restart, then work."""
        restarted = min(self.restart_seconds, seconds)
        self.restart_seconds -= restarted
        self.left_seconds -= seconds - restarted


def meet_all(jobs: Iterable[DatedJob], nodes: Nodes, now: float, *, restart_seconds: float) -> bool:
    """Tell whether all of these jobs end in time if nothing else comes. The jobs are played with: hand in copies.

    `nodes` says what GPUs there are. The plan from moment to moment is `place_dated`, so what was played comes true.
    """
    live = sorted(jobs, key=lambda job: job.urgency)
    while live:
        placed = place_dated(live, nodes)
        for job in live:
            job.move(placed.get(job.number, {}), restart_seconds)
        if any(now + job.seconds_to_end > job.due_at + TOLERANCE for job in live):
            return False
        seconds = min((job.seconds_to_end for job in live if job.places), default=math.inf)
        if seconds == math.inf:
            return False
        now += seconds
        for job in live:
            if job.places:
                job.run(seconds)
        live = [job for job in live if job.seconds_to_end > TOLERANCE]
    return True


def place_dated(by_urgency: Sequence[DatedJob], nodes: Nodes) -> dict[int, Places]:
    """Place jobs with a promise, the most urgent first, as if there were no others."""
    idle = list(nodes.sizes)
    for job in by_urgency:
        for number, gpus in job.places.items():
            idle[number] -= gpus
    contenders = (Contender(job.number, job.gpus, job.places) for job in by_urgency)
    return place_in_order(contenders, nodes.empty_copy(), idle)
