"""What waiting jobs were told about their start: kept week by week, and told anew where it slips."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from broker.daemon.loops import Daemon
from broker.processes.boot import DatabaseUrls
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.memory import CycleMemory
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool
from tests.broker.rows import owner_connection


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


@pytest.fixture(params=["all", "moved"])
def daemon(request: pytest.FixtureRequest, system: System) -> Daemon:
    """Make a daemon whose sweep looks at all that wait, and one that leads, and knows what has changed."""
    daemon = Daemon(system, None)
    if request.param == "all":
        daemon.memory = CycleMemory()
    return daemon


async def turn(daemon: Daemon) -> None:
    """Plan cycles, the second of which knows that the first was committed, and sweep."""
    for _cycle in range(2):
        async with daemon.system.work() as work:
            await register_pool(work, name="test")
            await run_cycle(work, memory=daemon.memory)
    daemon.promises_rest_until = 0.0
    await daemon.keep_start_promises()


def end(urls: DatabaseUrls, job_id: str, clock: ManualClock) -> None:
    with owner_connection(urls) as connection:
        ended = "UPDATE runs SET status = 'succeeded', cause = 'succeeded', ended_at = %s WHERE job_id = %s"
        connection.execute(ended, [clock.now, job_id])
        connection.execute("UPDATE jobs SET status = 'succeeded' WHERE id = %s", [job_id])


async def judge(api: Api, **params: Any) -> Any:
    return (await api.get("/reports/start-accuracy", **params))["weeks"]


async def test_starts_are_judged_by_what_was_told_first_and_a_slip_is_an_event(
    api: Api, daemon: Daemon, urls: DatabaseUrls, customer: Customer, clock: ManualClock
) -> None:
    running, waiting = await submit(api, customer), await submit(api, customer)
    await turn(daemon)
    told = await api.get(f"/jobs/{waiting}")
    assert told["expected_start"] is not None
    await turn(daemon)
    (week,) = await judge(api)
    assert (week["week"], week["promised"], week["decided"], week["coverage_p90"]) == ("2026-11-09", 1, 0, None)
    clock.advance(hours=3)
    await turn(daemon)
    await turn(daemon)
    events = (await api.get(f"/jobs/{waiting}/events"))["data"]
    slips = [event["data"] for event in events if event["kind"] == "start_slipped"]
    assert [slip["told"] for slip in slips] == [told["latest_start"].replace("Z", "+00:00")], "told once"
    assert slips[0]["expected_start"] > slips[0]["told"]
    end(urls, running, clock)
    await turn(daemon)
    (week,) = await judge(api, queue="standard")
    assert (week["started"], week["by_p90"], week["coverage_p90"], week["slipped"]) == (1, 0, "0.0000", 1)
    assert week["median_error_seconds"] > 9000
    assert await judge(api, queue="priority") == []


async def test_start_slips_again_once_a_date_is_known_anew(
    api: Api, system: System, urls: DatabaseUrls, customer: Customer, clock: ManualClock
) -> None:
    job_id = await submit(api, customer)

    async def sweep(expected: datetime | None) -> int:
        with owner_connection(urls) as connection:
            connection.execute("UPDATE jobs SET expected_start = %s WHERE id = %s", [expected, job_id])
        await Daemon(system, None).keep_start_promises()
        events = (await api.get(f"/jobs/{job_id}/events"))["data"]
        return sum(event["kind"] == "start_slipped" for event in events)

    assert await sweep(clock.now + timedelta(minutes=1)) == 0
    clock.advance(hours=1)
    assert await sweep(None) == 1, "nobody knows"
    assert await sweep(clock.now + timedelta(hours=1)) == 1, "known again: told on its page, no slip"
    assert await sweep(clock.now + timedelta(hours=2)) == 2


async def test_one_that_waits_beyond_its_p90_counts_as_missed_and_one_that_leaves_is_not_judged(
    api: Api, daemon: Daemon, customer: Customer, clock: ManualClock
) -> None:
    _running, _late, gone = [await submit(api, customer) for _ in range(3)]
    await turn(daemon)
    await api.post(f"/jobs/{gone}/cancel")
    clock.advance(days=2)
    await turn(daemon)
    (week,) = await judge(api, weeks=1)
    assert (week["promised"], week["decided"], week["started"], week["coverage_p90"]) == (2, 1, 0, "0.0000")
    clock.advance(days=7)
    assert await judge(api, weeks=1) == []
    assert len(await judge(api, weeks=2)) == 1
    refused = await api.http.get("/v1/reports/start-accuracy", params={"queue": "nobody"})
    assert refused.status_code == 404
    refused = await api.http.get("/v1/reports/start-accuracy", params={"weeks": 0})
    assert refused.status_code == 422
