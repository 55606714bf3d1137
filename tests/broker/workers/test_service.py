"""The worker protocol from the broker's side: claims, heartbeats, uploads, ends; in order, late, twice and torn."""

import hashlib
from typing import Any

import pytest
from fastapi import FastAPI

from broker.jobs.running.runs import lose_run
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, dispatch, make_ready_customer, submit_job
from tests.broker.running_jobs import broken_rules
from tests.broker.worker_calls import Worker, dispatched_worker, worker_of

WRITES = ["claim", "heartbeats", "finish", "checkpoints", "adapter"]


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


@pytest.fixture
async def job_id(api: Api, customer: Customer) -> str:
    return str((await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"])


async def lose(system: System, run_id: str) -> None:
    async with system.work() as work:
        await lose_run(work, run_id, "its process is gone")


async def attempt(worker: Worker, what: str, *, expect: int) -> Any:
    """One write of the protocol, which must get the given answer."""
    if what == "claim":
        return await worker.claim(expect=expect)
    if what == "heartbeats":
        return await worker.beat(5, expect=expect)
    if what == "finish":
        return await worker.finish("stopped", usage=[worker.interval(5)], expect=expect)
    path = "checkpoints/8" if what == "checkpoints" else "adapter"
    return (await worker.put(path, b"late", expect=expect)).json()


async def used_seconds(api: Api, job_id: str) -> int:
    return int((await api.get(f"/jobs/{job_id}"))["used_gpu_seconds"])


async def test_claim_tells_the_assignment_and_again_is_the_same(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        first = await worker.claim()
        assert (first["attempt"], first["next_sequence"], first["checkpoint"]) == (1, 0, None)
        assert await worker.claim() == first
        data = await worker.api.call("GET", first["dataset"]["url"].removeprefix("/v1"), expect=200)
        assert hashlib.sha256(data.content).hexdigest() == first["dataset"]["sha256"]
    events = [event["kind"] for event in (await api.get(f"/jobs/{job_id}/events"))["data"]]
    assert events == ["submitted", "dispatched", "started"]


async def test_heartbeat_moves_lease_and_progress(
    api: Api, app: FastAPI, system: System, job_id: str, clock: ManualClock
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        clock.advance(seconds=20)
        assert await worker.beat(step=4) == {
            "command": "continue",
            "reason": None,
            "acknowledged_sequence": -1,
            "quarantined": [],
            "cost_so_far": {"amount": "0.00", "currency": "CNY"},
        }
    job = await api.get(f"/jobs/{job_id}")
    assert (job["status"], job["progress"]["step"]) == ("running", 4)
    run = (await api.get(f"/jobs/{job_id}/runs"))["data"][0]
    assert run["last_heartbeat_at"] == clock.now.isoformat().replace("+00:00", "Z")


async def test_interval_sent_again_is_acknowledged_and_billed_once(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        first, second = worker.interval(3), worker.interval(4)
        for usage in ([first], [first, second], [second], []):
            answer = await worker.post("heartbeats", usage=usage)
        assert answer["acknowledged_sequence"] == 1
        assert (await worker.claim())["next_sequence"] == 2
    assert await used_seconds(api, job_id) == 7
    assert await broken_rules(system) == {}


async def test_acknowledgement_stops_before_a_gap(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        first, second, third = (worker.interval(1) for _ in range(3))
        assert (await worker.post("heartbeats", usage=[third, first]))["acknowledged_sequence"] == 0
        assert (await worker.post("heartbeats", usage=[second]))["acknowledged_sequence"] == 2


@pytest.mark.parametrize("what", WRITES)
async def test_superseded_run_is_fenced_off_and_nothing_of_it_is_billed(
    what: str, api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as old:
        await old.claim()
        await old.beat(5)
        await old.put("checkpoints/8", b"good")
        await lose(system, old.run_id)
        async with dispatched_worker(api, app, system, job_id) as new:
            await new.claim()
            problem = await attempt(old, what, expect=409)
            assert (problem["type"], problem["current_fence_token"]) == ("/problems/stale-fence-token", 2)
            assert (await new.beat(2))["command"] == "continue"
            kept = await new.api.call("GET", f"/runs/{new.run_id}/checkpoint", expect=200)
            assert kept.content == b"good"
    assert await used_seconds(api, job_id) == 7
    assert await broken_rules(system) == {}


@pytest.mark.parametrize("what", WRITES)
async def test_lost_run_is_fenced_off_before_its_job_is_dispatched_again(
    what: str, api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await lose(system, worker.run_id)
        problem = await attempt(worker, what, expect=409)
    assert problem["type"] == "/problems/stale-fence-token"
    assert await used_seconds(api, job_id) == 0


@pytest.mark.parametrize("what", WRITES)
async def test_wrong_fence_token_is_refused(what: str, api: Api, app: FastAPI, system: System, job_id: str) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        worker.fence_token = 2
        assert (await attempt(worker, what, expect=409))["current_fence_token"] == 1


async def test_run_token_speaks_for_its_own_run_only(
    api: Api, app: FastAPI, system: System, job_id: str, customer: Customer
) -> None:
    other_id = (await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"]
    async with (
        dispatched_worker(api, app, system, job_id) as worker,
        worker_of(api, app, system, other_id) as other,
    ):
        await worker.api.post(f"/runs/{other.run_id}/claim", {"fence_token": 1}, expect=404)
        await worker.api.call("GET", f"/runs/{other.run_id}/dataset", expect=404)
        await worker.api.call("GET", f"/jobs/{job_id}", expect=403)


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "stopped", "preempted"])
async def test_finish_again_is_the_same_and_bills_once(
    outcome: str, api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    """The answer to the first may have been lost with a killed broker."""
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        usage = [worker.interval(6)]
        first = await worker.finish(outcome, usage=usage)
        assert await worker.post("finish", outcome=outcome, usage=usage) == first
    assert await used_seconds(api, job_id) == 6
    assert await broken_rules(system) == {}


async def test_run_cannot_succeed_without_its_adapter(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("finish", outcome="succeeded", expect=409)
        assert (await worker.beat())["command"] == "continue"
        assert (await worker.finish("succeeded"))["job_status"] == "succeeded"


async def test_adapter_of_an_earlier_attempt_is_not_enough_to_succeed(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.finish("preempted")
    async with worker_of(api, app, system, job_id) as ended:
        assert (await ended.put("adapter", b"late", expect=409)).json()["type"] == "/problems/stale-fence-token"
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.post("finish", outcome="succeeded", expect=409)


async def test_failure_reported_by_the_worker_ends_the_job_with_its_cure(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.finish("failed", error={"code": "out_of_memory", "message": "batch_size: 1"})
    job = await api.get(f"/jobs/{job_id}")
    assert (job["status"], job["error"]) == ("failed", {"code": "out_of_memory", "message": "batch_size: 1"})


async def test_torn_upload_leaves_the_stored_checkpoint_as_it_is(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    """A torn retry deleted the file of the checkpoint that had arrived, and no attempt could go on from it."""
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        whole = hashlib.sha256(b"whole").hexdigest()
        await worker.put("checkpoints/5", b"whole")
        problem = (await worker.put("checkpoints/5", b"who", sha256=whole, expect=422)).json()
        assert problem["type"] == "/problems/checksum-mismatch"
        kept = await worker.api.call("GET", f"/runs/{worker.run_id}/checkpoint", expect=200)
        assert kept.content == b"whole"


async def test_checkpoint_sent_again_replaces_its_own(api: Api, app: FastAPI, system: System, job_id: str) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        for content in (b"first", b"second", b"second"):
            await worker.put("checkpoints/5", content)
        kept = await worker.api.call("GET", f"/runs/{worker.run_id}/checkpoint", expect=200)
        assert kept.content == b"second"
    (stored,) = (await api.get(f"/jobs/{job_id}/checkpoints"))["data"]
    assert stored["sha256"] == hashlib.sha256(b"second").hexdigest()


async def test_most_advanced_checkpoint_counts_whichever_attempt_saved_it(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.put("checkpoints/50", b"fifty")
        await lose(system, worker.run_id)
    async with dispatched_worker(api, app, system, job_id) as worker:
        assert (await worker.claim())["checkpoint"]["step"] == 50
        await worker.put("checkpoints/60", b"sixty")
        await worker.finish("preempted")
    async with dispatched_worker(api, app, system, job_id) as worker:
        assert (await worker.claim())["checkpoint"]["step"] == 60


async def test_usage_of_all_attempts_is_on_the_books_and_the_hold_ends_at_zero(
    api: Api, app: FastAPI, system: System, job_id: str, customer: Customer
) -> None:
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.beat(11)
        await lose(system, worker.run_id)
    async with dispatched_worker(api, app, system, job_id) as worker:
        await worker.claim()
        await worker.finish("succeeded", usage=[worker.interval(22)])
    usage = await api.get(f"/jobs/{job_id}/usage")
    assert [interval["gpu_seconds"] for interval in usage["data"]] == [11, 22]
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert (balance["held_gpu_seconds"], balance["used_gpu_seconds"]) == (0, 22), "the lost 11 are on the house"
    assert await broken_rules(system) == {}


async def test_job_whose_runs_are_all_lost_fails_and_keeps_what_it_used(
    api: Api, app: FastAPI, system: System, job_id: str
) -> None:
    attempts = system.services.settings.max_attempts
    for _ in range(attempts):
        async with dispatched_worker(api, app, system, job_id) as worker:
            await worker.claim()
            await worker.beat(2)
            await lose(system, worker.run_id)
    await dispatch(system)
    job = await api.get(f"/jobs/{job_id}")
    assert (job["status"], job["error"]["code"]) == ("failed", "worker_lost")
    assert (job["attempts"], job["used_gpu_seconds"]) == (attempts, 2 * attempts)
    assert await broken_rules(system) == {}
