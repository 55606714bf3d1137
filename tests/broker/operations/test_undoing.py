"""What ops decided is taken back through the same door, unless it was changed since."""

import asyncio
from typing import Any

import pytest

from broker.capacity.service import change_queue
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.factories import Api, Customer, make_ready_customer, submit_job
from tests.broker.pools import register_pool


async def change(api: Api, path: str, **changes: Any) -> str:
    """Change an object; tells the id of the record of it."""
    await api.call("PATCH", path, json=changes, expect=200)
    return str((await api.get("/audit", limit=1))["data"][0]["id"])


async def test_change_of_a_queue_is_put_back_once_and_undoing_that_has_it_again(api: Api) -> None:
    before = await api.get("/queues/standard")
    entry = await change(api, "/queues/standard", weight=300, max_jobs=4, priority=before["priority"])
    told = (await api.get(f"/audit/{entry}"))["changed"]
    assert told["before"] == {"weight": 100, "max_jobs": None}, "what stayed as it was is no change"
    undone = await api.post(f"/audit/{entry}/undo")
    assert (undone["undoes"], undone["after"]) == (entry, {"weight": 100, "max_jobs": None})
    assert await api.get("/queues/standard") == before
    refused = await api.post(f"/audit/{entry}/undo", expect=409)
    undoing = (await api.get("/audit", object_id="standard", limit=1))["data"][0]
    assert (undoing["undoes"], undoing["action"]) == (entry, "undo_audit_entry")
    assert (refused["type"], undoing["id"] in refused["detail"]) == ("/problems/not-undoable", True)
    await api.post(f"/audit/{undoing['id']}/undo")
    assert (await api.get("/queues/standard"))["weight"] == 300


async def test_a_queue_whose_name_is_that_of_a_field_is_found_by_what_was_decided_of_itself(api: Api) -> None:
    own = await change(api, "/queues/priority", weight=300)
    await change(api, "/queues/standard", priority=120)
    assert [entry["id"] for entry in (await api.get("/audit", object_id="priority"))["data"]] == [own]


async def test_of_two_who_undo_the_same_at_one_time_the_second_finds_it_undone(api: Api) -> None:
    entry = await change(api, "/queues/standard", weight=300)
    both = await asyncio.gather(*(api.http.post(f"/v1/audit/{entry}/undo") for _ in range(2)))
    assert sorted(each.status_code for each in both) == [200, 409]
    assert (await api.get("/queues/standard"))["weight"] == 100


async def test_change_that_is_being_made_while_another_is_undone_is_not_lost(api: Api, system: System) -> None:
    entry = await change(api, "/queues/standard", weight=300)
    async with system.work() as work:
        await change_queue(work, "standard", {"weight": 400})
        await work.session.flush()
        undoing = asyncio.create_task(api.http.post(f"/v1/audit/{entry}/undo"))
        await asyncio.wait({undoing}, timeout=0.2)
    assert (await undoing).status_code == 409
    assert (await api.get("/queues/standard"))["weight"] == 400


async def test_what_was_changed_since_stays_and_is_named_and_a_later_change_of_something_else_is_no_matter(
    api: Api,
) -> None:
    first = await change(api, "/queues/standard", weight=300, max_jobs=4)
    await change(api, "/queues/standard", weight=400)
    refused = await api.post(f"/audit/{first}/undo", expect=409)
    assert refused["type"] == "/problems/changed-since"
    assert refused["errors"] == [{"field": "weight", "message": "is 400 by now"}]
    assert (await api.get("/queues/standard"))["max_jobs"] == 4, "nothing is half undone"
    await change(api, "/queues/standard", weight=300)
    await change(api, "/queues/standard", max_gpus=7)
    await api.post(f"/audit/{first}/undo")
    queue = await api.get("/queues/standard")
    assert (queue["weight"], queue["max_jobs"], queue["max_gpus"]) == (100, None, 7)


async def test_word_on_a_pool_is_taken_back_but_for_maintenance_that_is_over(
    api: Api, system: System, clock: Any
) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=2)
    soon = {"begins_at": "2026-11-10T05:00:00Z", "ends_at": "2026-11-10T06:00:00Z"}
    later = {"begins_at": "2026-11-11T05:00:00Z", "ends_at": "2026-11-11T06:00:00Z"}
    await change(api, "/pools/test", maintenance=[soon, later])
    entry = await change(api, "/pools/test", open=False, nodes={"test": "draining"}, maintenance=[])
    assert [node["state"] for node in (await api.get("/pools/test"))["nodes"]] == ["draining"]
    clock.advance(hours=12)
    await api.post(f"/audit/{entry}/undo")
    pool = await api.get("/pools/test")
    assert (pool["open"], pool["nodes"]) == (True, [])
    assert [window["begins_at"] for window in pool["maintenance"]] == [later["begins_at"]]


async def test_what_bounds_stops_of_a_pool_is_taken_back_to_what_was_set_or_to_what_holds_everywhere(
    api: Api, system: System
) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=2)
    first = await change(api, "/pools/test", stops_per_hour=3, least_run_seconds=60)
    second = await change(api, "/pools/test", stops_per_hour=0)
    for entry, per_hour, least_run in ((second, 3, 60), (first, None, None)):
        await api.post(f"/audit/{entry}/undo")
        pool = await api.get("/pools/test")
        assert (pool["stops_per_hour"], pool["least_run_seconds"]) == (per_hour, least_run)


@pytest.mark.parametrize("expect", [404, 409])
async def test_what_is_not_there_or_has_nothing_to_put_back_is_refused(api: Api, expect: int) -> None:
    made = await api.post("/api-keys", {"name": "x", "role": "ops"}, expect=201)
    entry = (await api.get("/audit", object_id=made["id"]))["data"][0]["id"] if expect == 409 else "aud_nobody"
    await api.post(f"/audit/{entry}/undo", expect=expect)


async def submit(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def test_job_that_ops_puts_first_starts_in_the_next_cycle_and_its_customer_reads_why(
    api: Api, system: System, clock: Any
) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    jobs = []
    for _each in range(3):
        clock.advance(seconds=1)
        jobs.append(await submit(api, customer))
    second, third = jobs[1:]
    undone = await change(api, f"/jobs/{second}", priority=500, reason="a demo")
    await api.post(f"/audit/{undone}/undo")
    await change(api, f"/jobs/{third}", priority=500, reason="their fair is tomorrow")
    async with system.work() as work:
        await run_cycle(work)
    assert [(await api.get(f"/jobs/{job_id}"))["status"] for job_id in jobs] == ["queued", "queued", "dispatched"]
    assert [(await api.get(f"/jobs/{job_id}"))["priority"] for job_id in jobs] == [None, None, 500]
    events = (await api.get(f"/jobs/{third}/events"))["data"]
    told = next(event["data"] for event in events if event["kind"] == "priority_changed")
    assert told == {"priority": 500, "reason": "their fair is tomorrow"}


@pytest.mark.parametrize(
    "wrong", [{"priority": -1, "reason": "x"}, {"priority": 5}, {"reason": "x"}, {"priority": 5, "reason": " "}]
)
async def test_priority_needs_a_number_and_a_reason(api: Api, wrong: dict[str, Any]) -> None:
    await api.call("PATCH", "/jobs/job_x", json=wrong, expect=422)


async def test_job_that_is_over_has_no_place_to_change(api: Api) -> None:
    customer = await make_ready_customer(api)
    job_id = await submit(api, customer)
    await api.post(f"/jobs/{job_id}/cancel")
    refused = await api.call("PATCH", f"/jobs/{job_id}", json={"priority": 5, "reason": "x"}, expect=409)
    assert "cancelled" in refused.json()["detail"]


async def test_several_jobs_are_put_at_one_priority_with_one_reason_or_none_and_it_is_taken_back_as_one(
    api: Api, system: System
) -> None:
    customer = await make_ready_customer(api)
    jobs = [(await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"] for _each in range(3)]
    await api.call("PATCH", f"/jobs/{jobs[0]}", json={"priority": 7, "reason": "first"}, expect=200)
    body = {"job_ids": [*jobs, jobs[0]], "priority": 400, "reason": "their fair"}
    await api.post("/jobs/priorities", {**body, "job_ids": [*jobs, "job_none"]}, expect=404)
    assert (await api.get(f"/jobs/{jobs[1]}"))["priority"] is None, "all, or none"
    told = await api.post("/jobs/priorities", body)
    assert (told["job_ids"], told["priority"], told["frees"]) == (jobs, 400, 0)
    entry = (await api.get("/audit", object_id=jobs[2], limit=1))["data"][0]
    assert entry["changed"]["before"] == {jobs[0]: 7, jobs[1]: None, jobs[2]: None}
    await api.post(f"/audit/{entry['id']}/undo")
    assert [(await api.get(f"/jobs/{job}"))["priority"] for job in jobs] == [7, None, None]


async def test_decisions_are_found_by_who_and_when(api: Api, clock: Any) -> None:
    entry = await change(api, "/queues/standard", weight=300)
    made = await api.get(f"/audit/{entry}")
    clock.advance(hours=1)
    later = await change(api, "/queues/standard", weight=200)
    mine = await api.get("/audit", actor_id=made["actor_id"], since=clock.now.isoformat())
    assert [each["id"] for each in mine["data"]] == [later]
    before = await api.get("/audit", until=clock.now.isoformat(), action="change_queue")
    assert [each["id"] for each in before["data"]] == [entry]
    assert (await api.get("/audit", actor_id="key_none"))["data"] == []
