"""What is reserved in one plan: where and when those who must wait are to have their GPUs; and what is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nsmallest
from operator import itemgetter

from broker.scheduling.planning.books.books import Books
from broker.scheduling.planning.books.nodes import Filling, NodeBook, PoolBook, Reservation
from broker.scheduling.planning.rounds.lending import Lending
from broker.scheduling.planning.rounds.placing import Placement
from broker.scheduling.planning.rules.lengths import expect_length
from broker.scheduling.planning.values.jobs import WaitingJob

# when, on which node by its name, with how many GPUs free then
Time = tuple[datetime, str, NodeBook, int]


@dataclass(frozen=True)
class Reserved:
    """What a waiting job is to have, and when; None: nobody is known to free it. Units: whole GPUs."""

    job_id: str
    pool: str
    node: str
    gpus: int
    at: datetime | None


@dataclass
class Reservations:
    """The reservations of one plan."""

    books: Books
    now: datetime
    lending: Lending
    made: list[Reservation] = field(default_factory=list)

    def keep(self) -> None:
        """Reserve what is kept for a job, until it starts or its time is over."""
        for kept in sorted(self.books.kept.values(), key=lambda kept: kept.job_id):
            pool = self.books.pools.get(kept.pool)
            node = None if pool is None else pool.nodes.get(kept.node)
            if node is not None and self.books.is_kept(kept, self.now) and kept.job_id in self.books.waiting:
                self.keep_for(kept.job_id, node, kept.gpus)
        for each in self.made:
            each.spare = max(0, each.node.free - sum(other.gpus for other in each.node.reservations))

    def keep_for(self, job_id: str, node: NodeBook, gpus: int) -> None:
        """Keep GPUs of a node for a job from now on: nobody else may have what is free there."""
        self.enter(Reservation(job_id, node, self.now, gpus, spare=0, filling=Filling.NOBODY, is_kept=True))

    def reserve(
        self, job: WaitingJob, pools: Iterable[PoolBook], lendable: Mapping[str, int], filling: Filling
    ) -> None:
        """Reserve GPUs for a job where they are free earliest, on nodes that nobody else has a reservation on.

        What is guaranteed to others, and not lent, is not free to it, however long it waits.
        """
        if any(each.job_id == job.job_id for each in self.made):
            return
        opening = [(pool, self.lending.find_opening(pool.state.sku, job.gpus, lendable, self.now)) for pool in pools]
        lent = [(pool, opens_at) for pool, opens_at in opening if opens_at is not None]
        found = [times for pool, opens_at in lent if (times := self._find_times(job, pool, opens_at))]
        chosen = min(found, key=_rank_times, default=[])
        if not chosen:
            self._block_freest(job, [pool for pool, _opens_at in lent])
        for _at, _name, node, free in chosen:
            gpus = min(job.gpus, node.node.total)
            self.enter(Reservation(job.job_id, node, chosen[-1][0], gpus, free - gpus, filling))

    def enter(self, reservation: Reservation) -> None:
        """Have a reservation stand on its node."""
        reservation.node.reservations.append(reservation)
        self.made.append(reservation)

    def undo(self) -> None:
        """Leave the nodes without reservations."""
        for reservation in self.made:
            reservation.node.reservations.clear()

    def tell(self) -> tuple[Reserved, ...]:
        """Tell what those who still wait are to have."""
        return tuple(_tell_reservation(each) for each in self.made if each.job_id in self.books.waiting)

    def _block_freest(self, job: WaitingJob, pools: Iterable[PoolBook]) -> None:
        """Hold what is free for a job whose GPUs nobody is known to free, on the node that lacks the fewest."""
        nodes = [
            node
            for pool in pools
            for node in pool.list_open()
            if node.node.total >= min(job.gpus, pool.largest) and not node.reservations
        ]
        freest = min(nodes, key=lambda node: (-node.free, node.pool.state.name, node.name), default=None)
        if freest is not None:
            self.enter(Reservation(job.job_id, freest, None, job.gpus, spare=0, filling=Filling.NOBODY))

    def _find_times(self, job: WaitingJob, pool: PoolBook, opens_at: datetime) -> list[Time]:
        """Find when which nodes of a pool have the GPUs that a job needs: one node, or as many whole ones as it takes.

        Not before `opens_at`. Empty: never, as far as is known.
        """
        option = job.shape.find_option(pool.state.sku)
        if option is None:
            return []
        length, gpus, count = expect_length(option.p90_seconds), min(job.gpus, pool.largest), pool.count_nodes(job.gpus)
        times = [
            (max(found[0], opens_at), node.name, node, found[1])
            for node in pool.list_open()
            if node.node.total >= gpus
            and not node.reservations
            and (found := node.find_time(gpus, length, self.now)) is not None
        ]
        return nsmallest(count, times, key=itemgetter(0, 1)) if len(times) >= count else []


def use_reservations(node: NodeBook, job: WaitingJob, placement: Placement) -> None:
    """Note what a job takes of what reservations of others leave beside them; its own is used up."""
    was_kept = node.is_kept_for(job.job_id)
    node.reservations[:] = [each for each in node.reservations if each.job_id != job.job_id]
    for each in node.reservations:
        if was_kept and each.is_kept:
            continue  # what is spare beside one was counted without what is kept for the other
        if not each.is_filled_by(placement.p50_end, placement.p90_end):
            each.spare -= job.gpus


def _rank_times(times: list[Time]) -> tuple[datetime, str]:
    return times[-1][0], times[0][2].pool.state.name


def _tell_reservation(reservation: Reservation) -> Reserved:
    node = reservation.node
    return Reserved(reservation.job_id, node.pool.state.name, node.name, reservation.gpus, reservation.at)
