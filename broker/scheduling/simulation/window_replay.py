"""A recorded window, replayed by the planner that plans live: as it was, or on conditions that are proposed. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from heapq import heappop, heappush
from typing import Any

from broker.scheduling.planning.books.nodes import name_node
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.answers import Start
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare
from broker.scheduling.planning.values.snapshot import Kept
from broker.scheduling.simulation.recording import Conditions
from broker.scheduling.simulation.window import Turn, Window
from broker.scheduling.simulation.window_runs import Lengths, make_run


@dataclass(frozen=True)
class Proposal:
    """What is made of the conditions, and of each contract's share, that were recorded."""

    change_conditions: Callable[[Conditions], Conditions]
    change_share: Callable[[ContractShare], ContractShare]


AS_IT_WAS = Proposal(lambda conditions: conditions, lambda share: share)


@dataclass(slots=True)
class PlayedTurn:
    """A turn as it was replayed; moments are None where it did not come to that by the end of the window."""

    turn: Turn
    came_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    pool: str | None = None


class Happening(IntEnum):
    """What happens, in the order in which a cycle that sees all of it takes it."""

    CONDITIONS = 0
    SHARE = 1
    END = 2
    LEAVE = 3
    COME = 4


def replay_window(window: Window, proposal: Proposal = AS_IT_WAS) -> list[PlayedTurn]:
    """Replay a window; returns its turns in the order in which they were recorded to come.

    A run takes as long as it was recorded to, on another GPU type longer or shorter as its estimates are. One that was
    not recorded to its end takes its p50, or as long as it was seen where that is longer.
    """
    return _WindowReplay(window, proposal).run()


class _WindowReplay:
    def __init__(self, window: Window, proposal: Proposal) -> None:
        self.window = window
        self.proposal = proposal
        self.planner = Planner()
        self.pools: dict[str, PoolState] = {}
        self.lengths = Lengths(window)
        self.queues: set[str] = set()
        self.kept: tuple[Kept, ...] = ()
        self.events: list[tuple[datetime, Happening, int, Any]] = []
        self.scheduled = 0
        self.waiting: dict[str, int] = {}
        self.played = [PlayedTurn(turn, turn.came_at) for turn in window.turns]
        self.next_of = _find_next_turns(window.turns)

    def run(self) -> list[PlayedTurn]:
        self._schedule_window()
        while self.events and self.events[0][0] <= self.window.ends_at:
            now = self.events[0][0]
            while self.events and self.events[0][0] == now:
                _at, happening, _number, of = heappop(self.events)
                self._take(happening, of, now)
            for kept in self.kept:  # the end of the run that was lost has the planner forget it
                self.planner.change(kept)
            for start in self.planner.plan(now).starts:
                self._start(start, now)
        return self.played

    def _schedule(self, at: datetime, happening: Happening, of: Any) -> None:
        self.scheduled += 1
        heappush(self.events, (at, happening, self.scheduled, of))

    def _schedule_window(self) -> None:
        """Schedule what no plan changes: conditions, the ends of those that ran before, and who comes of himself."""
        for at, conditions in self.window.conditions:
            self._schedule(at, Happening.CONDITIONS, conditions)
        for at, share in self.window.shares:
            self._schedule(at, Happening.SHARE, share)
        for run, ends_at in self.window.running:
            self.planner.start(run)
            self._schedule(ends_at or max(run.p50_end, self.window.ends_at), Happening.END, run.job_id)
        following = set(self.next_of.values())
        for number, turn in enumerate(self.window.turns):
            if number not in following:
                self._schedule(turn.came_at, Happening.COME, number)

    def _take(self, happening: Happening, of: Any, now: datetime) -> None:
        match happening:
            case Happening.CONDITIONS:
                self._tell(self.proposal.change_conditions(of))
            case Happening.SHARE:
                self.planner.change(self.proposal.change_share(of))
            case Happening.END:
                self.planner.end(of)
            case Happening.LEAVE:
                self._leave(of)
            case Happening.COME:
                self._come(of, now)

    def _tell(self, conditions: Conditions) -> None:
        """Tell the planner of pools and queues as they are from now on."""
        pools = {pool.name: name_node(pool, 0) for pool in conditions.pools}
        for name in self.pools.keys() - pools.keys():
            self.planner.forget_pool(name)
        queues = {queue.name for queue in conditions.queues}
        for name in self.queues - queues:
            self.planner.forget_queue(name)
        for values in (pools.values(), conditions.queues):
            for told in values:
                self.planner.change(told)
        self.pools, self.queues, self.kept = pools, queues, conditions.kept

    def _come(self, number: int, now: datetime) -> None:
        turn = self.window.turns[number]
        self.played[number].came_at = now
        self.waiting[turn.job.job_id] = number
        self.planner.submit(turn.job)
        if turn.left_at is not None:
            self._schedule(max(turn.left_at, now), Happening.LEAVE, number)

    def _leave(self, number: int) -> None:
        job_id = self.window.turns[number].job.job_id
        if self.waiting.get(job_id) == number:
            del self.waiting[job_id]
            self.planner.end(job_id)

    def _start(self, start: Start, now: datetime) -> None:
        number = self.waiting.pop(start.job_id)
        played = self.played[number]
        seconds = self.lengths.find(played.turn, self.pools[start.pool].sku)
        played.started_at, played.ended_at, played.pool = now, now + seconds, start.pool
        self.planner.start(make_run(played.turn, start, self.pools[start.pool].sku, now))
        self._schedule(played.ended_at, Happening.END, start.job_id)
        following = self.next_of.get(number)
        if following is not None:
            after = self.window.turns[following].returned_after or timedelta(0)
            self._schedule(played.ended_at + after, Happening.COME, following)


def _find_next_turns(turns: Sequence[Turn]) -> dict[int, int]:
    """Find, for each turn that ran, the next one of the same job."""
    latest: dict[str, int] = {}
    following: dict[int, int] = {}
    for number, turn in enumerate(turns):
        before = latest.get(turn.job.job_id)
        if before is not None and turns[before].ended_at is not None:
            following[before] = number
        latest[turn.job.job_id] = number
    return following
