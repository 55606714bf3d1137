"""The GPUs of one pool laid out in nodes, and where those of a job are taken: of one node, all or none. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# GPUs by the number of their node.
Places = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Contender:
    """A job that wants GPUs; `places` has those that it holds now, and is empty where it waits."""

    number: int
    gpus: int
    places: Places = field(default_factory=dict)


class Nodes:
    """Nodes of one size; the last is smaller where the GPUs are no multiple of it.

    A job's GPUs come from one node; a job larger than a node takes whole nodes. The fullest node that fits is taken
    (best fit), the lowest number first, so that large gaps stay and equal runs are equal. Nodes of one GPU are
    processors that know no nodes: any of them will do for any job, so all are one node.
    """

    def __init__(self, total_gpus: int, node_size: int) -> None:
        self.node_size = node_size = total_gpus if node_size == 1 else node_size
        self.sizes = [min(node_size, total_gpus - begin) for begin in range(0, total_gpus, node_size)]
        self.free = list(self.sizes)
        self.free_gpus = total_gpus

    def copy(self) -> "Nodes":
        twin = Nodes.__new__(Nodes)
        twin.node_size, twin.sizes, twin.free, twin.free_gpus = self.node_size, self.sizes, [*self.free], self.free_gpus
        return twin

    def empty_copy(self) -> "Nodes":
        """Make nodes of the same sizes on which nothing runs."""
        twin = self.copy()
        twin.free, twin.free_gpus = [*self.sizes], sum(self.sizes)
        return twin

    def can_ever_place(self, gpus: int) -> bool:
        """Tell whether the job fits where nothing else runs."""
        if gpus <= self.node_size:
            return gpus <= max(self.sizes)
        return -(-gpus // self.node_size) <= sum(size == self.node_size for size in self.sizes)

    def find_places(self, gpus: int, idle: Sequence[int] | None = None) -> Places | None:
        """Find where the job fits; None where it does not.

        `idle` says, by node, how many GPUs are used by nobody: nodes where it displaces nobody come first then.
        """
        if gpus > self.free_gpus:
            return None
        if gpus > self.node_size:
            return self._find_whole_nodes(-(-gpus // self.node_size), idle or self.free)
        fitting = [(free, number) for number, free in enumerate(self.free) if free >= gpus]
        if idle is not None:
            fitting = [(free, number) for free, number in fitting if idle[number] >= gpus] or fitting
        return {min(fitting)[1]: gpus} if fitting else None

    def _find_whole_nodes(self, count: int, idle: Sequence[int]) -> Places | None:
        empty = [number for number, free in enumerate(self.free) if free == self.node_size]
        empty.sort(key=lambda number: -idle[number])
        return dict.fromkeys(empty[:count], self.node_size) if len(empty) >= count else None

    def may_fit_after(self, released: Places, gpus: int) -> bool:
        """Tell whether a job that did not fit may do so since these GPUs came free: quicker than to look for places."""
        if gpus > self.node_size:
            return gpus <= self.free_gpus
        return any(self.free[number] >= gpus for number in released)

    def has_room(self, places: Places) -> bool:
        """Tell whether all of these GPUs are free."""
        return all(self.free[number] >= gpus for number, gpus in places.items())

    def take(self, places: Places) -> None:
        for number, gpus in places.items():
            self.free[number] -= gpus
            assert self.free[number] >= 0, f"node {number} is given out twice"
            self.free_gpus -= gpus

    def give_back(self, places: Places) -> None:
        for number, gpus in places.items():
            self.free[number] += gpus
            assert self.free[number] <= self.sizes[number], f"node {number} is given back twice"
            self.free_gpus += gpus


def place_in_order(contenders: Iterable[Contender], room: Nodes, idle: Sequence[int]) -> dict[int, Places]:
    """Place jobs on `room` in this order, whoever runs where; those that find none are left out.

    A job that runs stays where it is if nobody before it took that; otherwise it moves. `room` is used up.
    """
    placed: dict[int, Places] = {}
    for contender in contenders:
        if room.free_gpus == 0:
            break
        stays = contender.places and room.has_room(contender.places)
        places = contender.places if stays else room.find_places(contender.gpus, idle)
        if places is not None:
            room.take(places)
            placed[contender.number] = places
    return placed
