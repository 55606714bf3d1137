"""A trainer with which the broker cannot speak is told so, and which of the two is older."""

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from broker import errors
from broker.capacity.model import AGENT_PROTOCOL
from broker.capacity.tables import Agent
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from broker.workers.protocol import OLDEST_PROTOCOL, PROTOCOL, check_protocol
from tests.broker.factories import Api, dispatch, make_ready_customer, submit_job, worker_api
from tests.broker.worker_calls import worker_of


def test_older_and_newer_trainers_are_told_apart() -> None:
    for spoken in range(OLDEST_PROTOCOL, PROTOCOL + 1):
        check_protocol(spoken)
    with pytest.raises(errors.ProtocolMismatch, match="the broker is older than the trainer"):
        check_protocol(PROTOCOL + 1)
    with pytest.raises(errors.ProtocolMismatch, match="the trainer is older than the broker"):
        check_protocol(OLDEST_PROTOCOL - 1)


async def test_trainer_of_another_protocol_claims_nothing_and_one_that_says_none_speaks_the_first(
    api: Api, system: System
) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system)
    run_id = (await api.get(f"/jobs/{job['id']}/runs"))["data"][0]["id"]
    async with worker_api(api.app, system, run_id) as worker:
        asked = {"json": {"fence_token": 1}, "headers": {"X-Worker-Protocol": str(PROTOCOL + 1)}}
        refused = (await worker.call("POST", f"/runs/{run_id}/claim", expect=426, **asked)).json()
        assert (refused["type"], refused["newest"]) == ("/problems/protocol-mismatch", PROTOCOL)
        assert (await api.get(f"/jobs/{job['id']}"))["status"] == "dispatched"
        assert (await worker.post(f"/runs/{run_id}/claim", {"fence_token": 1}))["protocol"] == PROTOCOL


@pytest.mark.parametrize("newer", [1, -1])
async def test_an_agent_of_another_release_starts_nothing_and_what_it_runs_ends_as_ever(
    api: Api, app: FastAPI, system: System, newer: int
) -> None:
    """A rolling upgrade in which the protocol of agents has changed: neither side does anything by half."""
    customer = await make_ready_customer(api)
    runs, waits = [(await submit_job(api, customer.dataset["id"], customer_id=customer.id))["id"] for _ in range(2)]
    await dispatch(system)
    async with worker_of(api, app, system, runs) as worker:
        await worker.claim()
        async with system.work() as work:
            await work.session.execute(update(Agent).values(protocol=AGENT_PROTOCOL + newer))
        async with system.work() as work:
            assert (await run_cycle(work)).started == 0
        pool = await api.get("/pools/test")
        assert (pool["state"], f"speaks protocol {AGENT_PROTOCOL + newer}" in pool["state_reason"]) == (
            "outdated",
            True,
        )
        assert (await api.get(f"/jobs/{waits}"))["pending_reason"]["code"] == "no_open_pool"
        assert (await worker.beat(1))["command"] == "continue"
        await worker.finish("failed", error={"code": "bad_input", "message": "no"})
    async with system.work() as work:
        await work.session.execute(update(Agent).values(protocol=AGENT_PROTOCOL))
    async with system.work() as work:
        assert (await run_cycle(work)).started == 1
