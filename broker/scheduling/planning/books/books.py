"""All books of a planner: who waits and runs, what is free and kept, and what contracts and queues hold."""

from dataclasses import replace
from datetime import datetime

from broker.scheduling.planning.books.class_jobs import Scene
from broker.scheduling.planning.books.homes import Homes
from broker.scheduling.planning.books.nodes import PoolBook
from broker.scheduling.planning.books.runs import RunBooks
from broker.scheduling.planning.books.shares import ShareBooks
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.snapshot import Kept


class Books:
    """What a plan is made on. A plan changes them for its own time, and leaves them as they were."""

    def __init__(self, run_time_bits: int) -> None:
        self.waiting: dict[str, WaitingJob] = {}
        self.kept: dict[str, Kept] = {}
        self.pools: dict[str, PoolBook] = {}
        self.scene = Scene(self.waiting, run_time_bits)
        self.shares = ShareBooks()
        self.runs = RunBooks(self.pools, self.shares)
        self.homes = Homes(self.scene, self.pools, self.shares)

    def is_kept(self, kept: Kept, now: datetime) -> bool:
        """Tell whether GPUs are still kept: their time is not over, or one who is to leave them still runs."""
        return kept.until > now or any(job_id in self.runs.running for job_id in kept.victims)

    def list_stopping(self) -> set[str]:
        """List those who are being stopped so that others may start."""
        return {job_id for kept in self.kept.values() for job_id in kept.victims}

    def let_go(self, job_id: str, until: datetime) -> None:
        """Note that a run has gone; what it leaves is kept until then at least for whom it was stopped."""
        for kept in [each for each in self.kept.values() if job_id in each.victims]:
            left = tuple(each for each in kept.victims if each != job_id)
            self.kept[kept.job_id] = replace(kept, until=max(kept.until, until), victims=left)
