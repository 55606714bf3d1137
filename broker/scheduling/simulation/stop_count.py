"""How many runs a pool may still stop for others, in a replay that stops other runs than were stopped. Pure."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.scheduling.planning.values.pools import PoolState

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class StopRules:
    """How many runs of a pool may be stopped within an hour, and how long each runs before."""

    per_hour: int
    least_run: timedelta


@dataclass
class StopCount:
    """Counts the stops of each pool within the last hour; without rules, pools stay as they are recorded."""

    rules: StopRules | None
    stopped: dict[str, deque[datetime]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def count(self, pool: str, now: datetime) -> None:
        self.stopped.setdefault(pool, deque()).append(now)
        self.changed.add(pool)

    def list_changed(self, now: datetime) -> list[str]:
        """List the pools that may stop more or fewer than they were last told."""
        if self.rules is None:
            return []
        for pool, moments in self.stopped.items():
            while moments and moments[0] <= now - HOUR:
                moments.popleft()
                self.changed.add(pool)
        changed, self.changed = sorted(self.changed), set()
        return changed

    def bound(self, pool: PoolState) -> PoolState:
        """Bound what a pool may stop by what it has stopped."""
        if self.rules is None:
            return pool
        return pool.bound_stops(len(self.stopped.get(pool.name, ())), self.rules.per_hour, self.rules.least_run)
