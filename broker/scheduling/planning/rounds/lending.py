"""What is lent in one plan: how many free GPUs of a type others than those whom they are guaranteed to may take."""

from collections.abc import Mapping
from datetime import datetime

from broker.scheduling.planning.books.books import Books
from broker.scheduling.planning.books.classes import JobClass
from broker.scheduling.planning.values.jobs import WaitingJob


class Lending:
    """The free GPUs that others may take, by type; a type that is guaranteed to nobody is not named."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.lendable: dict[str, int] = {}

    def measure(self) -> None:
        """Measure anew, once something was taken."""
        withheld: dict[str, int] = {}
        for contract in self.books.shares.guaranteed:
            for each in contract.share.guarantees:
                idle = max(0, each.gpus - contract.dedicated.get(each.sku, 0))
                lent = idle if each.most_lent is None else min(idle, each.most_lent)
                withheld[each.sku] = withheld.get(each.sku, 0) + idle - lent
        pools = self.books.pools.values()
        self.lendable = {
            sku: sum(pool.free for pool in pools if pool.state.sku == sku) - gpus for sku, gpus in withheld.items()
        }

    def find_lendable(self, job_class: JobClass, job: WaitingJob) -> Mapping[str, int]:
        """Find what a job may take of the types that are guaranteed to somebody; its own guarantee binds it not."""
        if not self.lendable or not job_class.is_dedicated:
            return self.lendable
        contract = job_class.contract
        return {sku: left for sku, left in self.lendable.items() if not contract.has_guaranteed_left(sku, job.gpus)}

    def find_opening(self, sku: str, gpus: int, lendable: Mapping[str, int], now: datetime) -> datetime | None:
        """Find from when a job may take so many GPUs of a type, by the p90 of what runs; None: nobody knows."""
        lacking = gpus - lendable.get(sku, gpus)
        if lacking <= 0:
            return now
        nodes = [node for pool in self.books.pools.values() if pool.state.sku == sku for node in pool.list_open()]
        for at, _job_id, freed in sorted(release for node in nodes for release in node.releases):
            lacking -= freed
            if lacking <= 0:
                return at
        return None
