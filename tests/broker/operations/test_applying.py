"""What was simulated is applied as one decision with a reason, unless something changed since; and undone as one."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from broker.errors import InvalidRequest
from broker.processes.boot import DatabaseUrls
from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.scheduling.proposed_settings import Setting, read_proposed_settings
from broker.scheduling.settings import list_differences
from broker.scheduling.simulations import run_next_simulation
from broker.system import System
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.pools import register_pool

FOR_A_REASON = {"reason": "the fair is over"}


async def simulate(api: Api, system: System, clock: Any, proposal: dict[str, Any]) -> tuple[str, str]:
    """Simulate a proposal over two jobs on one GPU; tells the simulation and the contract of the jobs."""
    began, recorder = clock.now, CycleRecorder()
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    for _each in range(2):
        await submit_job(api, customer.dataset["id"], customer_id=customer.id)
        async with system.work() as work:
            await run_cycle(work, recorder=recorder)
        clock.advance(seconds=1)
    contract_id = customer.contract["id"]
    named = {kind: {name.format(contract_id): told for name, told in each.items()} for kind, each in proposal.items()}
    body = {"proposal": named, "begins_at": began.isoformat()}
    asked = await api.post("/queues/simulations", body, expect=202)
    assert await run_next_simulation(system)
    return asked["id"], contract_id


async def test_all_of_a_proposal_is_applied_at_once_recorded_with_its_reason_and_taken_back_at_once(
    api: Api, system: System, clock: Any
) -> None:
    proposal = {
        "queues": {"standard": {"priority": 150, "weight": 200}},
        "contracts": {"{}": {"max_gpus": 4}},
        "pools": {"test": {"discipline": "first-come"}},
    }
    simulation_id, contract_id = await simulate(api, system, clock, proposal)
    before = await api.get("/queues/standard")
    applied = await api.post(f"/queues/simulations/{simulation_id}/apply", FOR_A_REASON)
    assert applied["after"] == {
        f"contracts {contract_id} max_gpus": 4,
        "pools test discipline": "first-come",
        "queues standard priority": 150,
        "queues standard weight": 200,
    }
    assert (await api.get(f"/contracts/{contract_id}/quota"))["reason"] == FOR_A_REASON["reason"]
    entry = (await api.get("/audit", limit=1))["data"][0]
    assert (entry["changed"]["kind"], entry["object_id"], entry["sent"]) == ("simulation", simulation_id, FOR_A_REASON)
    undone = await api.post(f"/audit/{entry['id']}/undo")
    assert undone["after"] == applied["before"]
    assert await api.get("/queues/standard") == before
    assert (await api.get("/pools/test"))["discipline"] == "fair"


async def test_hours_of_a_window_maintenance_and_priorities_of_jobs_are_applied_and_taken_back(
    api: Api, system: System, clock: Any
) -> None:
    ahead = {"begins_at": clock.now + timedelta(days=1), "ends_at": clock.now + timedelta(days=1, hours=2)}
    planned = {name: moment.isoformat() for name, moment in ahead.items()}
    proposal = {
        "queues": {"standard": {"max_gpu_hours": 50, "window_hours": 24}},
        "pools": {"test": {"maintenance": [planned]}},
    }
    simulation_id, _contract = await simulate(api, system, clock, proposal)
    waiting = (await api.get("/jobs", status="queued"))["data"][0]
    named = {**proposal, "jobs": {waiting["id"]: {"priority": 300}}}
    body = {"proposal": named, "begins_at": (clock.now - timedelta(seconds=2)).isoformat()}
    simulation_id = (await api.post("/queues/simulations", body, expect=202))["id"]
    assert await run_next_simulation(system)
    await api.post(f"/queues/simulations/{simulation_id}/apply", FOR_A_REASON)
    queue, pool = await api.get("/queues/standard"), await api.get("/pools/test")
    assert (queue["max_gpu_hours"], queue["window_hours"]) == (50, 24)
    assert [datetime.fromisoformat(each["begins_at"]) for each in pool["maintenance"]] == [ahead["begins_at"]]
    assert (await api.get(f"/jobs/{waiting['id']}"))["priority"] == 300
    entry = (await api.get("/audit", limit=1))["data"][0]
    await api.post(f"/audit/{entry['id']}/undo")
    queue, pool = await api.get("/queues/standard"), await api.get("/pools/test")
    assert (queue["max_gpu_hours"], queue["window_hours"], pool["maintenance"]) == (None, None, [])
    assert (await api.get(f"/jobs/{waiting['id']}"))["priority"] is None


async def test_what_was_changed_since_or_is_too_long_ago_is_refused_with_what_it_is_now(
    api: Api, system: System, clock: Any
) -> None:
    simulation_id, _contract = await simulate(api, system, clock, {"queues": {"standard": {"weight": 200}}})
    await api.call("PATCH", "/queues/standard", json={"max_jobs": 3}, expect=200)
    refused = await api.post(f"/queues/simulations/{simulation_id}/apply", FOR_A_REASON, expect=409)
    assert refused["type"] == "/problems/stale-simulation"
    assert refused["errors"] == [{"field": "queues.standard.max_jobs", "message": "is 3 by now"}]
    await api.call("PATCH", "/queues/standard", json={"max_jobs": None}, expect=200)
    clock.advance(minutes=31)
    late = await api.post(f"/queues/simulations/{simulation_id}/apply", FOR_A_REASON, expect=409)
    assert late["errors"] == [{"field": "ends_at", "message": "is 31 minutes ago; 30 at most"}]
    assert (await api.get("/queues/standard"))["weight"] == 100


async def test_what_is_changed_in_the_moment_between_the_look_and_the_lock_is_not_overwritten(
    api: Api, system: System, clock: Any, urls: DatabaseUrls
) -> None:
    simulation_id, _contract = await simulate(api, system, clock, {"queues": {"standard": {"weight": 200}}})
    with psycopg.connect(urls.owner or "") as other:
        other.execute("UPDATE queues SET weight = 300 WHERE name = 'standard'")
        applying = asyncio.create_task(api.post(f"/queues/simulations/{simulation_id}/apply", FOR_A_REASON, expect=409))
        await asyncio.sleep(0.3)  # it has looked, and waits for the queue's lock
        other.commit()
    assert (await applying)["errors"] == [{"field": "queues.standard.weight", "message": "is 300 by now"}]
    assert (await api.get("/queues/standard"))["weight"] == 300


async def test_the_drawing_has_each_job_before_and_after_and_what_cannot_be_set_is_refused_by_its_field(
    api: Api, system: System, clock: Any
) -> None:
    simulation_id, _contract = await simulate(api, system, clock, {"pools": {"test": {"total_gpus": 2}}})
    result = (await api.get(f"/queues/simulations/{simulation_id}"))["result"]
    first, second = result["drawn"]
    assert [len(first[side]) for side in ("today", "proposed")] == [1, 1]
    assert [len(second[side]) for side in ("today", "proposed")] == [0, 1], "with two GPUs the second starts, too"
    assert (result["earlier_count"], result["later_count"], result["starved"]) == (1, 0, [0, 0])
    refused = await api.post(f"/queues/simulations/{simulation_id}/apply", FOR_A_REASON, expect=422)
    assert refused["errors"][0]["field"] == "pools.test.total_gpus"
    await api.post(f"/queues/simulations/{simulation_id}/apply", {"reason": " "}, expect=422)


async def test_a_simulation_that_is_not_done_cannot_be_applied(api: Api, clock: Any) -> None:
    body = {"proposal": {"queues": {"standard": {"weight": 2}}}, "begins_at": (clock.now - timedelta(1)).isoformat()}
    asked = await api.post("/queues/simulations", body, expect=202)
    await api.post(f"/queues/simulations/{asked['id']}/apply", FOR_A_REASON, expect=409)


def test_fields_of_a_proposal_are_read_as_settings_are_named() -> None:
    wanted = read_proposed_settings({"queues": {"standard": {"state": "holding", "max_wait_seconds": 90.0}}})
    named = [("state", "holding"), ("max_wait_seconds", 90)]
    assert wanted == [Setting("queues", "standard", field, value) for field, value in named]


@pytest.mark.parametrize(
    ("proposal", "field"),
    [
        ({"contracts": {"c": {"guaranteed_gpus": {"a": 1}}}}, "contracts.c.guaranteed_gpus"),
        ({"queues": {"q": {"max_gpus": 0}}}, "queues.q.max_gpus"),
        ({"queues": {"q": {"weight": 10**9}}}, "queues.q.weight"),
        ({"queues": {"q": {"max_wait_seconds": 0.5}}}, "queues.q.max_wait_seconds"),
        ({"pools": {"p": {"least_run_seconds": 10**9}}}, "pools.p.least_run_seconds"),
        ({"contracts": {"c": {"max_jobs": 10**7}}}, "contracts.c.max_jobs"),
    ],
)
def test_what_is_decided_elsewhere_or_beyond_what_can_be_set_is_refused(proposal: dict[str, Any], field: str) -> None:
    """A wait of half a second was simulated, and a failure of the server when it was applied."""
    with pytest.raises(InvalidRequest) as refused:
        read_proposed_settings(proposal)
    assert [each.field for each in refused.value.errors] == [field]


def test_differences_are_told_by_path_and_what_came_or_went_as_a_whole() -> None:
    before = {"queues": {"a": {"weight": 1}, "b": {"weight": 1}}}
    now = {"queues": {"a": {"weight": 2}, "c": {"weight": 1}}}
    assert list_differences(before, now) == {"queues.a.weight": 2, "queues.b": "gone", "queues.c": "new"}
    assert list_differences(now, now) == {}
