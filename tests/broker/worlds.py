"""A broker in an event loop of the test's own: for machines of Hypothesis, whose steps are no coroutines."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase

from broker.app import create_app
from broker.config import Settings
from broker.processes.boot import DatabaseUrls, prepare
from broker.system import System, open_system
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.properties import scale


def draw_seed(variable: str) -> int:
    """Draw the seed of a machine, or take it from a variable of the environment: then the same failure comes again."""
    return int(os.environ.get(variable) or secrets.randbelow(2**32))


def few_runs(variable: str, *, examples: int, steps: int) -> hypothesis.settings:
    """Set how often a machine runs, and how long. With its seed in the variable a failure is made small (minutes)."""
    return hypothesis.settings(
        max_examples=scale(examples),
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.generate, Phase.shrink] if variable in os.environ else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@dataclass
class World:
    """One broker, in the event loop of the test's own."""

    runner: asyncio.Runner
    system: System
    clock: ManualClock
    api: Api

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)


@asynccontextmanager
async def open_world(
    runner: asyncio.Runner, settings: Settings, urls: DatabaseUrls, clock: ManualClock
) -> AsyncIterator[World]:
    prepared = await prepare(settings, urls)
    await prepared.database.close()
    system = open_system(settings, urls.app, clock=clock)
    async with Api.connect(create_app(system), settings.admin_key_path.read_text().strip()) as api:
        yield World(runner, system, clock, api)
    await system.database.close()
