"""What runs where at a moment of the simulation; policies start and stop jobs on it. Pure."""

from broker.scheduling.simulation.job import SimulatedJob
from broker.scheduling.simulation.layout import Nodes, Places


class Cluster:
    """Nodes, and the jobs that run on them, by their numbers.

    `started` collects who was started since the replay last looked. A preempted job keeps its work, and pays
    `restart_seconds` when it runs again.
    """

    def __init__(self, nodes: Nodes, *, restart_seconds: float = 0.0) -> None:
        self.nodes = nodes
        self.restart_seconds = restart_seconds
        self.running: dict[int, SimulatedJob] = {}
        self.started: list[SimulatedJob] = []

    def start(self, job: SimulatedJob, places: Places, now: float) -> None:
        self.nodes.take(places)
        job.places = places
        job.restart_seconds = self.restart_seconds if job.runs else 0.0
        job.started_at = now
        job.runs += 1
        self.running[job.number] = job
        self.started.append(job)

    def stop(self, job: SimulatedJob, now: float) -> None:
        """Stop a job that has ended, or that is preempted; its work is kept."""
        job.served_seconds = job.count_served(now)
        job.started_at = None
        self.nodes.give_back(job.places)
        job.places = {}
        del self.running[job.number]
