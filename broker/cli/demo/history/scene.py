"""What everybody of a history can see: the house, its machines, the customers and what they have submitted."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.cli.demo.history.customers import Player
from broker.cli.demo.history.house import House
from broker.cli.demo.history.machines import Machines
from broker.cli.demo.history.plot import FINANCE, OPS
from broker.cli.demo.history.submitting import Submitting
from broker.cli.demo.history.voices import Voice


@dataclass(frozen=True)
class Span:
    """The time that a history covers: whole days, from the beginning of a billing month in Shanghai on."""

    begin: datetime
    end: datetime

    @property
    def days(self) -> int:
        return (self.end - self.begin).days


@dataclass
class Scene:
    """The stage of a history, once everybody has come onto it."""

    house: House
    span: Span
    machines: Machines
    submitting: Submitting
    players: dict[str, Player]

    @property
    def finance(self) -> Voice:
        return self.house.staff[FINANCE]

    @property
    def ops(self) -> Voice:
        return self.house.staff[OPS]

    def contract_of(self, key: str, place: int = 0) -> Any:
        return self.players[key].contracts[place]

    def on_day(self, day: int, hour: int, act: Callable[["Scene"], Awaitable[None]]) -> None:
        """Plan what happens so many days after the beginning, at an hour of Shanghai; a shorter history leaves it out.

        Units: `hour` is of the day that has begun there, whose midnight the history begins at.
        """
        moment = self.span.begin + timedelta(days=day, hours=hour)

        async def play() -> None:
            await act(self)

        if moment < self.span.end:
            self.house.timeline.at(moment, play)
