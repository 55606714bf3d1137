"""Usage added up: by whatever it is told apart by, in any window of full hours, page by page."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.metering.sources import Meter, open_meter
from tests.broker.running_jobs import broken_rules, report_usage, start_job

# Midnight in Shanghai is 16:00 in UTC.
BEFORE_MIDNIGHT, AFTER_MIDNIGHT, NEXT_MONTH = "2026-11-10T15:59:59Z", "2026-11-10T16:00:00Z", "2026-11-30T16:00:00Z"


@pytest.fixture
async def meter(api: Api, clock: ManualClock) -> AsyncIterator[Meter]:
    """Report 1 token before midnight, 20 after it, 300 in the next month; the middle one by another team."""
    clock.advance(days=30)
    async with open_meter(api) as meter:
        await meter.send(
            meter.event("1", time=BEFORE_MIDNIGHT, quantity=1, labels={"team": "tea", "env": "test"}),
            meter.event("2", time=AFTER_MIDNIGHT, quantity=20, labels={"team": "coffee"}, gpu_type="h200"),
            meter.event("3", time=NEXT_MONTH, quantity=300, labels={"team": "tea"}),
            meter.event("4", time=NEXT_MONTH, meter="gpu_seconds", quantity=3600),
        )
        yield meter


async def ask(api: Api, *groups: str, **params: Any) -> list[tuple[Any, ...]]:
    """Ask for groups; each is its values, and its GPU-seconds, tokens and events."""
    page = await api.get("/usage", group_by=list(groups), **params)
    return [(*each["group"].values(), each["gpu_seconds"], each["tokens"], each["events"]) for each in page["data"]]


async def test_usage_is_told_apart_by_what_is_asked_for(meter: Meter, api: Api) -> None:
    assert await ask(api) == [(3600, 321, 4)]
    assert await ask(api, "month") == [("2026-11", 0, 21, 2), ("2026-12", 3600, 300, 2)]
    assert await ask(api, "day", time_zone="UTC") == [("2026-11-10", 0, 21, 2), ("2026-11-30", 3600, 300, 2)]
    assert (await ask(api, "day"))[:2] == [("2026-11-10", 0, 1, 1), ("2026-11-11", 0, 20, 1)]
    assert (await ask(api, "hour"))[0] == ("2026-11-10T15:00:00Z", 0, 1, 1)
    assert await ask(api, "label:team") == [(None, 3600, 0, 1), ("coffee", 0, 20, 1), ("tea", 0, 301, 2)]
    assert await ask(api, "gpu_type", "source") == [
        (None, meter.source, 3600, 301, 3),
        ("h200", meter.source, 0, 20, 1),
    ]
    assert await ask(api, "customer", "contract", "meter") == [
        (meter.customer.id, meter.contract_id, "gpu_seconds", 3600, 0, None),
        (meter.customer.id, meter.contract_id, "tokens", 0, 321, None),
    ]


async def test_usage_is_of_a_window_and_of_whom_is_asked_for(meter: Meter, api: Api) -> None:
    assert await ask(api, **{"from": "2026-11-10T16:00:00Z", "to": "2026-11-10T17:00:00Z"}) == [(0, 20, 1)]
    assert await ask(api, to="2026-11-10T16:00:00Z") == [(0, 1, 1)]
    assert await ask(api, label="team=tea") == [(0, 301, 2)]
    assert await ask(api, gpu_type="h200", contract_id=meter.contract_id) == [(0, 20, 1)]
    assert await ask(api, contract_id="con_other") == []


async def test_pages_have_every_group_once_and_the_sums_of_all(meter: Meter, api: Api) -> None:
    seen, cursor = [], None
    while True:
        page = await api.get(
            "/usage", group_by=["label:team", "day"], limit=1, **({"cursor": cursor} if cursor else {})
        )
        seen += [tuple(each["group"].values()) for each in page["data"]]
        assert (page["gpu_seconds"], page["tokens"]) == (3600, 321)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [(None, "2026-12-01"), ("coffee", "2026-11-11"), ("tea", "2026-11-10"), ("tea", "2026-12-01")]


async def test_usage_of_runs_is_among_it_with_project_job_and_gpu_type(meter: Meter, api: Api, system: System) -> None:
    job = await start_job(system, meter.customer, gpu_type="rtx-3090")
    await report_usage(system, job, gpu_seconds=60, tokens=5)
    assert await ask(api, "source", "job", "gpu_type", job_id=job.id) == [(None, job.id, "rtx-3090", 60, 5, 1)]
    assert await broken_rules(system) == {}


async def test_customer_adds_up_its_own(meter: Meter, api: Api) -> None:
    stranger = await make_ready_customer(api)
    async with customer_api(api, stranger.id) as other, customer_api(api, meter.customer.id) as own:
        assert await ask(other, "customer") == []
        assert await ask(own, "customer") == [(meter.customer.id, 3600, 321, 4)]


REFUSED = [
    ({"group_by": "colour"}, "group_by.0"),
    ({"group_by": "label:No"}, "group_by.0"),
    ({"from": "2026-11-10T16:30:00Z"}, "from"),
    ({"from": "2026-11-10T16:00:00Z", "to": "2026-11-10T16:00:00Z"}, "to"),
    ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ({"time_zone": "../etc/passwd"}, "time_zone"),
    ({"group_by": "day", "time_zone": "Asia/Kolkata", "from": "2026-11-10T16:00:00Z"}, "time_zone"),
    ({"label": "team"}, "label"),
    ({"group_by": "day", "cursor": "bm8="}, "cursor"),
    ({"group_by": "day", "cursor": "WyJhIiwiYiJd"}, "cursor"),
]


async def test_what_cannot_be_answered_is_refused_with_its_field(api: Api) -> None:
    for params, field in REFUSED:
        problem = await api.get("/usage", expect=422, **params)
        assert [fault["field"] for fault in problem["errors"]] == [field], (params, problem)
