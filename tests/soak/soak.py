"""A soak: everything at once for some minutes, killed by `kill -9` at random points, and then looked at.

The last fifth is calm: the traffic goes on and nothing is killed, so that what a process takes can be seen to stay.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.broker.shopping import MOST_OPEN
from tests.soak.growth import Growth
from tests.soak.inspection import Inspection, inspect, keeping_logs
from tests.soak.leaders import SESSIONS, STOOD_STILL, change_leader
from tests.soak.town import VICTIMS, Town, open_town
from tests.soak.traffic import READS, Traffic, open_traffic

CALM_SHARE = 0.2
LONGEST_BETWEEN_KILLS = 3.0
TOLD_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class SoakPlan:
    """How long, by which seed, and how many kills at most; None: as many as there is time for.

    `stands_still`: whether in the end a leader stands still for longer than its lead, as in `leaders`, too.
    `pace_seconds`: how long brokers rest between two sweeps, and two cycles that nothing wakes; None: as a town's do.
    `roles`: as whom pages are read, each by a thread of its own.
    """

    seconds: float
    seed: int
    kills: int | None = None
    stands_still: bool = False
    most_open: int = MOST_OPEN
    pace_seconds: float | None = None
    roles: tuple[str, ...] = READS

    @property
    def settings(self) -> dict[str, str]:
        if self.pace_seconds is None:
            return {}
        return {"sweep_seconds": str(self.pace_seconds), "cycle_seconds": str(self.pace_seconds)}


@dataclass
class Soak:
    """One soak as it goes on."""

    plan: SoakPlan
    town: Town
    traffic: Traffic
    growth: Growth
    kills: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    told_at: float = 0.0

    def run(self) -> None:
        """Kill for four fifths of the time, the victims by turns in a random order; then let all go on."""
        rng, calm_at = random.Random(f"{self.plan.seed} kills"), self.plan.seconds * (1 - CALM_SHARE)
        self.traffic.start()
        order: list[str] = []
        while self.is_killing(calm_at):
            self.pass_time(rng.uniform(0.2, LONGEST_BETWEEN_KILLS))
            order = order or rng.sample(sorted(VICTIMS), len(VICTIMS))
            victim = order.pop()
            VICTIMS[victim](self.town, rng)
            self.kills[victim] += 1
        if self.plan.stands_still:
            change_leader(self.town, STOOD_STILL)
        self.town.wait_until_ready()  # on a busy machine that may be later than the whole calm
        self.growth.begin()
        self.pass_time(self.plan.seconds * CALM_SHARE)
        self.traffic.stop()

    def is_killing(self, calm_at: float) -> bool:
        if self.plan.kills is not None:
            return self.kills.total() < self.plan.kills
        return time.monotonic() - self.began < calm_at

    def pass_time(self, seconds: float) -> None:
        """Let time pass, look at what processes take, and tell how it stands."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.traffic.raise_errors()
            self.growth.sample()
            self.tell()
            time.sleep(min(left, 0.5))

    def tell(self) -> None:
        if time.monotonic() - self.told_at < TOLD_EVERY_SECONDS:
            return
        self.told_at = time.monotonic()
        seen = sum(reader.counted["pages"] for reader in self.traffic.readers)
        finance = self.traffic.finance
        words = [
            f"{time.monotonic() - self.began:6.0f} s",
            f"{self.kills.total()} kills",
            f"{len(self.traffic.accepted)} jobs accepted",
            f"{len(finance.billed)} months invoiced",
            f"{len(finance.purchases)} orders",
            f"{seen} pages",
        ]
        sys.stdout.write(", ".join(words) + "\n")
        sys.stdout.flush()


def run_soak(plan: SoakPlan) -> dict[str, Any]:
    """Run a soak; returns its figures. Raises: AssertionError, with all that does not hold."""
    sys.stdout.write(f"soak of {plan.seconds:.0f} s, seed {plan.seed}\n")
    with open_town(SESSIONS if plan.stands_still else "", **plan.settings) as town, keeping_logs(town):
        traffic = open_traffic(town, plan.seed, town.folder, most_open=plan.most_open, roles=plan.roles)
        soak = Soak(plan, town, traffic, Growth(town))
        soak.run()
        found = asyncio.run(inspect(town, soak.traffic))
        judge(soak, found)
        return write_figures(soak, found)


def judge(soak: Soak, found: Inspection) -> None:
    """Raise all that is wrong at once. Raises: AssertionError."""
    broken = soak.traffic.broken
    wrong = [*found.wrong, *soak.growth.list_grown(), *(f"answered 500: {each}" for each in broken[:5])]
    assert not wrong, f"seed {soak.plan.seed}:\n" + "\n".join(wrong)


def write_figures(soak: Soak, found: Inspection) -> dict[str, Any]:
    kills = {"kills": soak.kills.total(), "kills_by_victim": dict(soak.kills)}
    read = {"pages_read": sum(reader.counted["pages"] for reader in soak.traffic.readers)}
    took = {"seed": soak.plan.seed, "minutes": round(soak.plan.seconds / 60, 2)}
    return {**took, **kills, **found.figures, **read, "calm": soak.growth.summarize()}
