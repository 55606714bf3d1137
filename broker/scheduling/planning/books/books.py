"""All books of a planner: who waits and runs, what is free and kept, and what contracts and queues hold."""

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
