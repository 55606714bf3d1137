"""A soak: everything at once for some minutes, killed by `kill -9` at random points, and then looked at.

The last fifth is calm: the traffic goes on and nothing is killed, so that what a process takes can be seen to stay.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from tests.soak.growth import Growth
from tests.soak.inspection import Inspection, inspect, keep_logs
from tests.soak.town import VICTIMS, Town, open_town
from tests.soak.traffic import Traffic, open_traffic

CALM_SHARE = 0.2
LONGEST_BETWEEN_KILLS = 3.0
TOLD_EVERY_SECONDS = 10.0
LAST_ANSWER_SECONDS = 240.0


@dataclass(frozen=True)
class SoakPlan:
    """How long, by which seed, and how many kills at most; None: as many as there is time for."""

    seconds: float
    seed: int
    kills: int | None = None


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
        self.growth.begin()
        self.pass_time(self.plan.seconds * CALM_SHARE)
        self.traffic.stop(LAST_ANSWER_SECONDS)

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
    with open_town() as town:
        soak = Soak(plan, town, open_traffic(town, plan.seed, town.folder), Growth(town))
        try:
            soak.run()
            found = asyncio.run(inspect(town, soak.traffic))
            judge(soak, found)
        except BaseException:
            sys.stdout.write(f"the logs are kept in {keep_logs(town, Path(gettempdir()))}\n")
            raise
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
