"""One pool in time, node by node: how many GPUs are free now on each, and when others come free. Pure."""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from heapq import heapify, heappop, heapreplace
from sys import maxsize

from broker.scheduling.planning.values.jobs import Place
from broker.scheduling.planning.values.pools import Node, NodeState, PoolState


@dataclass
class Turn:
    """Those who may use the same pools: none starts before `opens_at`. None: the one in front has no known start.

    `earliest` has, by GPUs, the pools by when they have so many free; an entry may be too early, and is put right when
    it is reached.
    """

    opens_at: datetime | None
    earliest: dict[int, list[tuple[datetime, str]]] = field(default_factory=dict)


@dataclass
class NodeForecast:
    """A node in time: GPUs free now, and those that come free later (ascending)."""

    total: int
    free: int
    releases: list[tuple[datetime, int]] = field(default_factory=list)

    def find_time(self, gpus: int, now: datetime) -> datetime | None:
        """Find when so many GPUs are free. None: never, as far as is known."""
        free = self.free
        if free >= gpus:
            return now
        for released_at, released in self.releases:
            free += released
            if free >= gpus:
                return released_at
        return None

    def hold(self, gpus: int, end: datetime) -> None:
        """Take GPUs that are held now."""
        self.free -= gpus
        insort(self.releases, (end, gpus))

    def occupy(self, gpus: int, start: datetime, end: datetime) -> None:
        """Take GPUs from then on."""
        released = bisect_right(self.releases, (start, maxsize))
        self.free += sum(freed for _, freed in self.releases[:released]) - gpus
        del self.releases[:released]
        insort(self.releases, (end, gpus))


@dataclass
class PoolForecast:
    """A pool in time: its nodes that take starts, and the turns that it is a part of.

    `earliest` has, by GPUs, the nodes by when they have so many free; an entry may be too early, and is put right when
    it is reached.
    """

    nodes: dict[str, NodeForecast]
    spans_nodes: bool
    turns: list[Turn] = field(default_factory=list)
    earliest: dict[int, list[tuple[datetime, str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, state: PoolState) -> "PoolForecast":
        """Make the forecast of a pool on which nothing runs yet; one without nodes is one node of its name."""
        nodes = state.nodes or (Node(state.name, state.total_gpus),)
        taking = [node for node in nodes if node.state == NodeState.OPEN]
        forecasts = {node.name: NodeForecast(node.total, node.total - node.unavailable) for node in taking}
        return cls(forecasts, state.spans_nodes)

    @cached_property
    def largest(self) -> int:
        """Tell how many GPUs the largest of its nodes has."""
        return max((node.total for node in self.nodes.values()), default=0)

    def hold(self, places: tuple[Place, ...], gpus: int, end: datetime) -> None:
        """Take GPUs that a run holds now; without places they are of the only node."""
        for place in places or tuple(Place(name, gpus) for name in list(self.nodes)[:1]):
            node = self.nodes.get(place.node)
            if node is not None:
                node.hold(place.gpus, end)

    def find_start(self, gpus: int, now: datetime) -> datetime | None:
        """Find when so many GPUs are free for one job, not before anybody's turn. None: never, as far as is known."""
        opens_at = now
        for turn in self.turns:
            if turn.opens_at is None:
                return None
            opens_at = max(opens_at, turn.opens_at)
        found = self._find_nodes(gpus, now)
        return None if found is None else max(opens_at, found[0])

    def occupy(self, gpus: int, start: datetime, end: datetime, now: datetime) -> None:
        """Take GPUs from `start` on, where `find_start` finds them now."""
        found = self._find_nodes(gpus, now)
        assert found is not None, "a start was found"
        names = found[1]
        for name in names:
            self.nodes[name].occupy(gpus if len(names) == 1 else self.nodes[name].total, start, end)

    def _find_nodes(self, gpus: int, now: datetime) -> tuple[datetime, tuple[str, ...]] | None:
        """Find the node that has so many GPUs first; for more than any has, whole nodes where the pool allows that."""
        if gpus > self.largest:
            return self._find_whole_nodes(gpus, now) if self.spans_nodes else None
        if gpus not in self.earliest:
            self.earliest[gpus] = [(now, name) for name, node in self.nodes.items() if node.total >= gpus]
            heapify(self.earliest[gpus])
        entries = self.earliest[gpus]
        while entries:
            known, name = entries[0]
            found = self.nodes[name].find_time(gpus, now)
            if found is None:
                heappop(entries)
            elif found <= known:
                return found, (name,)
            else:
                heapreplace(entries, (found, name))
        return None

    def _find_whole_nodes(self, gpus: int, now: datetime) -> tuple[datetime, tuple[str, ...]] | None:
        times = ((node.find_time(node.total, now), name) for name, node in self.nodes.items())
        taken: list[str] = []
        for at, name in sorted((at, name) for at, name in times if at is not None):
            taken.append(name)
            gpus -= self.nodes[name].total
            if gpus <= 0:
                return at, tuple(taken)
        return None
