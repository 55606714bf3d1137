"""Where jobs run: pools of nodes, what state each is in, and by which discipline a pool takes jobs. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class NodeState(StrEnum):
    """OPEN: takes starts. DRAINING: lets its runs end. DOWN: its runs are lost, too."""

    OPEN = "open"
    DRAINING = "draining"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Window:
    """A time of maintenance: nothing starts that is expected to run into it."""

    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a pool. `unavailable` GPUs are held by nobody whom the planner knows. Units: whole GPUs."""

    name: str
    total: int
    unavailable: int = 0
    state: NodeState = NodeState.OPEN
    windows: tuple[Window, ...] = ()


class Discipline(StrEnum):
    """In which order a pool takes jobs; the last two also stop running jobs for better ones."""

    FAIR = "fair"
    FIRST_COME = "first-come"
    SHORTEST_REMAINING = "shortest-remaining-service"
    LEAST_ATTAINED = "least-attained-service"


# The time in which a victim writes a checkpoint, where nothing else is said.
GRACE_SECONDS = 60


@dataclass(frozen=True)
class PoolState:
    """GPUs of one kind that are handed out together, in whole GPUs. A closed pool starts nothing new.

    `closure` says in a sentence why it is closed. `nodes` empty: one node with the pool's name. `free_gpus` is what a
    snapshot says is free; a planner that is told all runs counts itself. `spans_nodes`: a job larger than a node takes
    whole nodes. `preemptions_left`: so many of its runs may still be stopped for others in this hour, each once it has
    run for `least_run`, and has `grace` to write a checkpoint. `own_stops_per_hour` and `own_least_run` are what ops
    has set for this pool; None: it is as everywhere.
    """

    name: str
    sku: str
    total_gpus: int
    free_gpus: int
    open: bool = True
    closure: str | None = None
    nodes: tuple[Node, ...] = ()
    discipline: Discipline = Discipline.FAIR
    spans_nodes: bool = False
    preemptions_left: int = 0
    least_run: timedelta = timedelta(minutes=10)
    grace: timedelta = timedelta(seconds=GRACE_SECONDS)
    own_stops_per_hour: int | None = None
    own_least_run: timedelta | None = None

    def bound_stops(self, stopped: int, per_hour: int, least_run: timedelta) -> "PoolState":
        """Bound what may be stopped of it after so many stops in this hour, by the rules for all pools or its own."""
        most = per_hour if self.own_stops_per_hour is None else self.own_stops_per_hour
        least = least_run if self.own_least_run is None else self.own_least_run
        return replace(self, preemptions_left=max(0, most - stopped), least_run=least)

    @property
    def largest(self) -> int:
        """Tell how many GPUs the largest job of the pool may have: those of its largest open node."""
        if not self.nodes or self.spans_nodes:
            return self.total_gpus
        return max((node.total for node in self.nodes if node.state == NodeState.OPEN), default=0)
