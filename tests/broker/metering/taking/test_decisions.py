"""Decisions about usage in quarantine: charged after all where it is believed by now, or dismissed; once, for ever."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.metering.sources import Meter, open_meter
from tests.broker.running_jobs import broken_rules


@pytest.fixture
async def meter(api: Api, clock: ManualClock) -> AsyncIterator[Meter]:
    """Report usage from after the end of a contract."""
    async with open_meter(api, ends_at="2026-11-20T00:00:00Z") as meter:
        clock.advance(days=20)
        await meter.send(meter.event("late", time="2026-11-20T00:00:01Z"))
        yield meter


async def get_only(meter: Meter, **chosen: Any) -> Any:
    return (await meter.api.get("/quarantined-usage", **chosen))["data"][0]


async def test_usage_is_charged_once_its_contract_covers_it(meter: Meter, system: System) -> None:
    row = await get_only(meter, status="open")
    still = await meter.api.post(f"/quarantined-usage/{row['id']}/retry")
    assert (still["status"], await meter.used()) == ("open", (0, 0))
    async with system.work() as work:
        await work.session.execute(text("UPDATE contracts SET ends_at = '2026-12-20'"))
    charged = await meter.api.post(f"/quarantined-usage/{row['id']}/retry")
    assert (charged["status"], await meter.used()) == ("charged", (0, 100))
    await meter.api.post(f"/quarantined-usage/{row['id']}/retry", expect=409)
    await meter.api.post(f"/quarantined-usage/{row['id']}/dismiss", {"reason": "x"}, expect=409)
    assert (await get_only(meter, status="charged"))["id"] == row["id"]
    assert (await meter.api.get("/quarantined-usage", status="open"))["data"] == []
    assert await broken_rules(system) == {}


async def test_dismissed_usage_stays_listed_with_the_reason(meter: Meter, system: System) -> None:
    row = await get_only(meter)
    await meter.api.post(f"/quarantined-usage/{row['id']}/dismiss", {"reason": ""}, expect=422)
    await meter.api.post(f"/quarantined-usage/{row['id']}/dismiss", {"reason": "a test of ours"})
    listed = await get_only(meter, status="dismissed")
    assert (listed["decision_reason"], listed["decided_by"][:4]) == ("a test of ours", "key_")
    await meter.api.post(f"/quarantined-usage/{row['id']}/retry", expect=409)
    await meter.api.post("/quarantined-usage/qua_nobody/retry", expect=404)
    assert await meter.used() == (0, 0)
    assert await broken_rules(system) == {}
