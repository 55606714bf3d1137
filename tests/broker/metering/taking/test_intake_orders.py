"""However the same events of an open month are told, in whatever order, batches and repetitions: one draft."""

import random
from datetime import timedelta
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api
from tests.broker.metering.sources import Meter, open_meter
from tests.broker.running_jobs import broken_rules

SEED = random.randrange(2**32)
EVENTS = 24
CONTRACTS: dict[str, dict[str, Any]] = {
    "nothing promised": {},
    "prepaid that bills": {"plan": "prepaid", "overage": "contract"},
}


def draw_events(draws: random.Random, meter: Meter) -> list[dict[str, Any]]:
    """Draw events of both meters over ten days; one of them is beyond what any grant has left."""
    meters = [("tokens", 3_000), ("gpu_seconds", 90_000)]
    events = []
    for number in range(EVENTS):
        name, most = draws.choice(meters)
        time = (START + timedelta(seconds=draws.randrange(864_000))).isoformat()
        events.append(meter.event(str(number), meter=name, quantity=draws.randrange(most), time=time))
    return [*events, meter.event("last", meter="gpu_seconds", quantity=499 * 3600, time=START.isoformat())]


def tell(draws: random.Random, events: list[dict[str, Any]], way: str) -> list[list[dict[str, Any]]]:
    """Cut events into batches, some of them told twice."""
    if way == "at once":
        return [events]
    told = draws.sample(events * 2, 2 * len(events)) if way == "shuffled and twice" else events[::-1]
    size = 1 if way == "backwards, one by one" else 7
    return [told[start : start + size] for start in range(0, len(told), size)]


@pytest.mark.parametrize("name", CONTRACTS)
async def test_draft_is_the_same_however_its_events_are_told(
    api: Api, system: System, clock: ManualClock, name: str
) -> None:
    print(f"seed {SEED}")  # noqa: T201 (shown when it fails)
    clock.advance(days=10)
    drafts = []
    for way in ("at once", "backwards, one by one", "shuffled and twice"):
        async with open_meter(api, f"/{way.split()[0]}", **CONTRACTS[name]) as meter:
            for batch in tell(random.Random(SEED), draw_events(random.Random(SEED), meter), way):
                assert (await meter.send(*batch))["rejected"] == 0
            body = {"contract_id": meter.contract_id, "month": "2026-11"}
            draft = await api.post("/invoices", body, expect=201)
        lines = [(line["kind"], line["meter"], line["quantity"], line["amount"]["amount"]) for line in draft["lines"]]
        drafts.append((draft["total"], lines))
    assert drafts[1] == drafts[0]
    assert drafts[2] == drafts[0]
    assert await broken_rules(system) == {}
