"""1,000 deaths of a process in the midst of a step, and what the next process makes of it.

Each step of a story dies at one of its points in turn (before and after each statement, commit, file, launch and
webhook), is ended by another process, and goes on. What the seed decides is where the turns begin, and when the process
that ends a step dies, too.
"""

import asyncio
import logging
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from broker.app import create_app
from broker.config import Settings
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import prepare
from broker.system import open_system
from tests.broker.conftest import ManualClock
from tests.broker.running_jobs import broken_rules
from tests.soak.ground import open_ground
from tests.soak.mortal import Killed, Life, Mortals, make_mortal
from tests.soak.story import Story, begin_story, open_outside

DEATHS = 1_000
# So long a process's claims on an outbox row, a webhook or a step at Stripe last at most.
LEASES = {"minutes": 3}
SECOND_DEATH = 0.2
MOST_DEATHS_OF_A_STEP = 4
FIRST_POINTS = 4
TOLD_EVERY = 50


@dataclass
class Dying:
    """Who dies when: each step at the next of its points, from the first to one that it does not reach."""

    rng: random.Random
    mortals: Mortals
    owner: psycopg.Connection
    next_at: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    died_in: Counter[str] = field(default_factory=Counter)

    async def take(self, life: Life, story: Story, name: str, step: Callable[[Life], Awaitable[None]]) -> Life:
        """Take a step, by as many processes as it needs; returns the one that lives."""
        at = self.next_at.setdefault(name, self.rng.randint(1, FIRST_POINTS))
        for death in range(MOST_DEATHS_OF_A_STEP):
            dies = death == 0 or (death < MOST_DEATHS_OF_A_STEP - 1 and self.rng.random() < SECOND_DEATH)
            life.fate.begin(at if death == 0 else self.rng.randint(1, FIRST_POINTS) if dies else 0)
            try:
                await life.act(lambda life=life: step(life))
            except Killed:
                life = await self.bury(life, story, name)
                continue
            if death == 0:  # it did not come so far: its points are known now, and it begins with the first again
                self.points[name] = max(self.points.get(name, 0), life.fate.passed)
                self.next_at[name] = 0
            break
        self.next_at[name] += 1
        life.fate.begin()
        return life

    async def bury(self, life: Life, story: Story, name: str) -> Life:
        """End a process that has died, and start the next once what it had claimed is free again."""
        self.deaths[life.fate.died_at or ""] += 1
        self.died_in[name] += 1
        await life.end(self.owner)
        story.outside.clock.advance(**LEASES)
        if self.deaths.total() % TOLD_EVERY == 0:
            sys.stdout.write(f"{self.deaths.total()} deaths\n")
            sys.stdout.flush()
        return await self.mortals.begin()


def prove_crash_points(seed: int, count: int | None = None, server: EmbeddedServer | None = None) -> dict[str, Any]:
    """Die so many times; returns the figures. Raises: AssertionError."""
    with open_ground(server) as (folder, urls), pytest.MonkeyPatch.context() as patch:
        make_mortal(patch)
        patch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # what dead processes would still say
        return asyncio.run(die(seed, count or DEATHS, folder / "data", urls))


async def die(seed: int, count: int, data_dir: Path, urls: Any) -> dict[str, Any]:
    settings, clock = Settings(data_dir=data_dir, local_slots=0), ManualClock()
    await (await prepare(settings, urls)).database.close()
    routes = create_app(open_system(settings, "postgresql:///nowhere"))
    mortals = Mortals(settings, urls.app, clock, routes, settings.admin_key_path.read_text().strip())
    with psycopg.connect(str(urls.owner), autocommit=True) as owner:
        dying = Dying(random.Random(seed), mortals, owner)
        stories = 0
        async with living(mortals, dying) as first:
            life = first
            outside = await open_outside(life, clock, mortals.admin_key)
            while dying.deaths.total() < count:
                stories += 1
                story = await begin_story(stories, outside, life)
                for step_name, step in story.steps:
                    life = await dying.take(life, story, step_name, step)
                await story.check(life)
            assert await broken_rules(life.system) == {}
            await life.end(owner)
        received = check_received(outside.got)
    points = {"points_of_each_step": dying.points, "points": sum(dying.points.values())}
    told = {
        "deaths": dying.deaths.total(),
        "deaths_by_point": dict(dying.deaths),
        "deaths_by_step": dict(dying.died_in),
    }
    return {**told, **points, "stories": stories, "webhooks": received}


@asynccontextmanager
async def living(mortals: Mortals, dying: Dying) -> AsyncIterator[Life]:
    life = await mortals.begin()
    try:
        yield life
    except BaseException:
        sys.stdout.write(f"after {dying.deaths.total()} deaths: {dying.next_at}\n")
        raise


def check_received(got: list[tuple[dict[str, str], bytes]]) -> dict[str, int]:
    """Check that one id is one body, however often it came."""
    bodies: dict[str, set[bytes]] = {}
    for headers, body in got:
        bodies.setdefault(headers["webhook-id"], set()).add(body)
    assert all(len(each) == 1 for each in bodies.values())
    return {"events": len(bodies), "received": len(got)}
