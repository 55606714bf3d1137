"""What a replayed window came to: who ran when and where, what there was to run on, which guarantees were missed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.scheduling.planning.values.jobs import RunningJob
from broker.scheduling.simulation.window import Turn

# A contract and a queue.
GroupKey = tuple[str, str]


@dataclass(slots=True)
class Stint:
    """GPUs that a turn held without a break. `restart`: how much of it was no work, after a preemption.

    `ended_at` is when it will end, until it has; the window may end before. Units: whole GPUs.
    """

    pool: str
    sku: str
    began_at: datetime
    ended_at: datetime
    restart: timedelta = timedelta(0)


@dataclass(slots=True)
class PlayedTurn:
    """A turn as it was replayed; its moments are None where it did not come to that by the end of the window.

    A preemption breaks it into stints. `waits_again`: the last one was preempted, and none has followed.
    """

    turn: Turn
    came_at: datetime
    stints: list[Stint] = field(default_factory=list)
    waits_again: bool = False

    @property
    def started_at(self) -> datetime | None:
        return self.stints[0].began_at if self.stints else None

    @property
    def ended_at(self) -> datetime | None:
        return self.stints[-1].ended_at if self.stints and not self.waits_again else None

    @property
    def preemptions(self) -> int:
        return len(self.stints) - (0 if self.waits_again else 1) if self.stints else 0


@dataclass(frozen=True)
class MissedGuarantee:
    """How often a contract had less than it was guaranteed while its jobs waited, for longer than the grace.

    `gpu_seconds` is what it lacked then.
    """

    times: int = 0
    gpu_seconds: float = 0.0


@dataclass(frozen=True)
class Replayed:
    """A window as it was replayed, until `ends_at`. `before` ran when it began, each until the moment beside it.

    `offered` has, by pool, the GPU-seconds that were there; `missed` is by contract and its own queue.
    """

    begins_at: datetime
    ends_at: datetime
    turns: list[PlayedTurn]
    before: list[tuple[RunningJob, datetime]] = field(default_factory=list)
    offered: Mapping[str, float] = field(default_factory=dict)
    missed: Mapping[GroupKey, MissedGuarantee] = field(default_factory=dict)
