"""What is free, now and later: nodes of pools, the runs on them, and what is reserved or kept on them."""

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from broker.scheduling.planning.rules.corrections import correct_end
from broker.scheduling.planning.values.jobs import Place, RunningJob
from broker.scheduling.planning.values.pools import Node, NodeState, PoolState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot


class Filling(Enum):
    """Who may use the time before a reservation: who likely ends by then (p50), who surely does (p90), or nobody."""

    EXPECTED = "expected"
    SURE = "sure"
    NOBODY = "nobody"


@dataclass(slots=True)
class Reservation:
    """GPUs of a node that a waiting job is to have at a moment; `spare` of the node are left over then.

    `filling` says who may use the time until then. `at` None: it is not known, and nobody may. `is_kept`: others were
    stopped for it, or it lost its machine; whoever has GPUs kept on the node is not held up by what is kept beside.
    """

    job_id: str
    node: "NodeBook"
    at: datetime | None
    gpus: int
    spare: int
    filling: Filling = Filling.EXPECTED
    is_kept: bool = False

    def leaves(self, gpus: int, p50_end: datetime, p90_end: datetime) -> bool:
        """Tell whether a job may use the node in the meantime, or beside it."""
        return gpus <= self.spare or self.is_filled_by(p50_end, p90_end)

    def is_filled_by(self, p50_end: datetime, p90_end: datetime) -> bool:
        """Tell whether a job that starts now may use the time until then."""
        if self.at is None or self.filling is Filling.NOBODY:
            return False
        return (p90_end if self.filling is Filling.SURE else p50_end) <= self.at


@dataclass(slots=True, eq=False)
class NodeBook:
    """A node as it is planned: free GPUs, and those that come free (corrected p90 ends, ascending)."""

    node: Node
    pool: "PoolBook"
    free: int
    releases: list[tuple[datetime, str, int]] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    times: dict[int, tuple[datetime | None, int] | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name

    def admits(self, job_id: str, gpus: int, p50_end: datetime, p90_end: datetime, now: datetime) -> bool:
        """Tell whether a job may start here now: it runs into no maintenance, and takes nothing that is reserved."""
        if self.is_maintained(p90_end, now):
            return False
        return all(
            each.job_id == job_id or each.leaves(gpus, p50_end, p90_end) or (each.is_kept and self.is_kept_for(job_id))
            for each in self.reservations
        )

    def is_kept_for(self, job_id: str) -> bool:
        """Tell whether GPUs of the node are kept for a job."""
        return any(each.is_kept and each.job_id == job_id for each in self.reservations)

    def is_maintained(self, p90_end: datetime, now: datetime) -> bool:
        """Tell whether a job that started now would run into maintenance."""
        return any(window.begins_at < p90_end and now < window.ends_at for window in self.node.windows)

    def find_time(self, gpus: int, length: timedelta, now: datetime) -> tuple[datetime, int] | None:
        """Find when so many GPUs are free for that long, by the p90 ends of what runs, and how many are free then."""
        if gpus not in self.times:
            self.times[gpus] = self._find_release(gpus)
        found = self.times[gpus]
        if found is None:
            return None
        at, free = found[0] or now, found[1]
        return self._find_after_windows(at, free, length) if self.node.windows else (at, free)

    def _find_release(self, gpus: int) -> tuple[datetime | None, int] | None:
        """Find the end of a run with which so many GPUs are free, None for now; and how many are free then."""
        free = self.free
        if free >= gpus:
            return None, free
        for number, (at, _job_id, released) in enumerate(self.releases, start=1):
            free += released
            if free >= gpus:
                return at, free + sum(freed for end, _, freed in self.releases[number:] if end == at)
        return None

    def _find_after_windows(self, at: datetime, free: int, length: timedelta) -> tuple[datetime, int]:
        """Find the first moment from which no maintenance comes between."""
        earlier = at
        for window in sorted(self.node.windows, key=lambda window: window.begins_at):
            if window.begins_at < at + length and at < window.ends_at:
                at = window.ends_at
        return at, free + sum(freed for end, _, freed in self.releases if earlier < end <= at)


class PoolBook:
    """A pool as it is planned: its nodes, the open ones by how much of them is free."""

    def __init__(self, state: PoolState) -> None:
        self.state = state
        self.nodes: dict[str, NodeBook] = {}
        self.open_nodes: list[tuple[int, str]] = []
        self.free = 0
        for node in state.nodes or (Node(state.name, state.total_gpus),):
            book = NodeBook(node, self, node.total - node.unavailable)
            self.nodes[node.name] = book
            self._list(book)
        self.largest = max((node.node.total for node in self.list_open()), default=0)
        self.has_windows = any(node.node.windows for node in self.list_open())
        self.capacity = sum(node.node.total for node in self.list_open())

    def list_open(self) -> list[NodeBook]:
        """List the nodes that take starts."""
        return [node for node in self.nodes.values() if node.node.state == NodeState.OPEN]

    def _list(self, node: NodeBook) -> None:
        if node.node.state == NodeState.OPEN:
            insort(self.open_nodes, (node.free, node.name))
            self.free += max(node.free, 0)

    def _unlist(self, node: NodeBook) -> None:
        if node.node.state == NodeState.OPEN:
            del self.open_nodes[bisect_left(self.open_nodes, (node.free, node.name))]
            self.free -= max(node.free, 0)

    def could_fit(self, gpus: int) -> bool:
        """Tell whether a job of this size could run here, were the open nodes empty."""
        return gpus <= (self.capacity if self.state.spans_nodes else self.largest)

    def measure(self) -> int:
        """Measure the largest job that could ever run here, whichever nodes are open now."""
        totals = [node.node.total for node in self.nodes.values()]
        return sum(totals) if self.state.spans_nodes else max(totals, default=0)

    def count_nodes(self, gpus: int) -> int:
        """Count the nodes that a job of this size takes."""
        return max(1, -(-gpus // max(self.largest, 1)))

    def may_fit(self, gpus: int) -> bool:
        """Tell whether so many GPUs are free on one node, or on whole ones."""
        if gpus > self.largest:
            return self.free >= gpus and self.could_fit(gpus)
        return bool(self.open_nodes) and self.open_nodes[-1][0] >= gpus

    def list_places(self, run: RunningJob) -> tuple[Place, ...]:
        """List where a run is."""
        return run.places or (Place(self.state.name, run.gpus),)

    def occupy(self, job_id: str, places: tuple[Place, ...], end: datetime) -> None:
        """Take GPUs for a run that is expected to end then."""
        for place in places:
            node = self.nodes.get(place.node)
            if node is not None:
                self._unlist(node)
                node.times.clear()
                node.free -= place.gpus
                insort(node.releases, (end, job_id, place.gpus))
                self._list(node)

    def vacate(self, job_id: str, places: tuple[Place, ...], end: datetime) -> None:
        """Give back what `occupy` took with the same words."""
        for place in places:
            node = self.nodes.get(place.node)
            if node is not None:
                self._unlist(node)
                node.times.clear()
                node.free += place.gpus
                node.releases.remove((end, job_id, place.gpus))
                self._list(node)


def expect_end(run: RunningJob, now: datetime) -> datetime:
    """Expect the end of a run by its p90, corrected where that has passed."""
    return correct_end(run.p50_end if run.p90_end is None else run.p90_end, now)


def name_nodes(snapshot: ClusterSnapshot) -> tuple[PoolState, ...]:
    """List the pools of a snapshot, each without nodes with its one; what its runs do not hold is held by others."""
    busy: Counter[str] = Counter()
    for run in snapshot.running:
        busy[run.pool] += run.gpus
    return tuple(name_node(pool, busy[pool.name]) for pool in snapshot.pools)


def name_node(pool: PoolState, busy: int) -> PoolState:
    """Give a pool without nodes its one node, with as many free GPUs as the snapshot says."""
    if pool.nodes:
        return pool
    return replace(pool, nodes=(Node(pool.name, pool.total_gpus, pool.total_gpus - max(pool.free_gpus, 0) - busy),))
