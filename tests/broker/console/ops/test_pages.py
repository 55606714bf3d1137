"""Ops' pages, each as a person of ops reads it; and that they cost as many statements however much there is."""

from typing import Any

import pytest

from broker.operations.overview import KEPT
from broker.system import System
from tests.broker.console.ops.floor import make_floor
from tests.broker.console.people import sign_in_customer, sign_in_staff
from tests.broker.factories import Api
from tests.broker.messages import listing_messages

PAGES = ("home", "pools", "agents", "queues", "queues/standard", "shares", "what-if", "audit")
PAGE = [f"/console/ops/{page}" for page in PAGES]


async def test_every_page_shows_and_none_is_for_a_customer(api: Api, system: System, clock: Any) -> None:
    world = await make_floor(api, system, clock)
    why = f"/console/ops/jobs/{world.waiting[0]}/why"
    for language in ("en", "zh"):
        async with sign_in_staff(api, "ops", language=language) as person:
            for path in (*PAGE, why, f"/console/ops/jobs/{world.running}/why"):
                shown = await person.open(path)
                assert shown.words_of("h1"), path
                assert "error" not in shown.attributes("[data-state]", "data-state"), path
    async with sign_in_customer(api, world.acme.id) as customer:
        for path in (*PAGE, why):
            await customer.open(path, expect=403)


@pytest.mark.parametrize("path", [*PAGE, "/console/ops/jobs/{}/why"])
async def test_a_page_costs_as_many_statements_with_many_rows(
    api: Api, system: System, clock: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for waiting in (1, 4):
        world = await make_floor(api, system, clock, waiting=waiting)
        async with sign_in_staff(api, "ops") as person:
            await person.open(path.format(world.waiting[0]))
            clock.now += KEPT
            with listing_messages(monkeypatch) as messages:
                await person.open(path.format(world.waiting[0]))
        counts.append(len(messages))
    assert counts[0] == counts[1]
