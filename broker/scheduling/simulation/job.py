"""A job under simulation, as far as a policy may know it: how long it will really run is not among that."""

from dataclasses import dataclass, field

from broker.scheduling.simulation.layout import Places


@dataclass(slots=True, eq=False)
class SimulatedJob:
    """A job that waits or runs; `estimated_seconds` is what was thought of its work when it was submitted.

    `most_seconds` is what its user asked for, above which no estimate goes. A policy that promises to meet the deadline
    sets `promised`; the rest is changed by the cluster alone: work done in earlier runs, and of the present run its
    begin, its restart before work goes on, and its places.
    """

    number: int
    job_id: str
    submitted_at: float
    gpus: int
    owner: str
    estimated_seconds: float
    most_seconds: float | None = None
    deadline_at: float | None = None
    promised: bool = False
    served_seconds: float = 0.0
    started_at: float | None = None
    restart_seconds: float = 0.0
    places: Places = field(default_factory=dict)
    runs: int = 0

    def count_served(self, now: float) -> float:
        """Count the seconds of work that are done by now, those of the present run with them."""
        if self.started_at is None:
            return self.served_seconds
        return self.served_seconds + max(now - self.started_at - self.restart_seconds, 0.0)

    def count_restart_left(self, now: float) -> float:
        """Count the seconds until work goes on in the present run."""
        return 0.0 if self.started_at is None else max(self.started_at + self.restart_seconds - now, 0.0)
