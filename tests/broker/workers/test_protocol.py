"""A trainer with which the broker cannot speak is told so, and which of the two is older."""

import pytest

from broker import errors
from broker.system import System
from broker.workers.protocol import OLDEST_PROTOCOL, PROTOCOL, check_protocol
from tests.broker.factories import Api, dispatch, make_ready_customer, submit_job, worker_api


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
