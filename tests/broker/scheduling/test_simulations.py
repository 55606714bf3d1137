"""Ops asks what a recorded window would have been: asked by REST, worked out in the background, told by contract."""

from datetime import timedelta

import pytest

from broker.scheduling.cycle.live import run_cycle
from broker.scheduling.cycle.recorder import CycleRecorder
from broker.scheduling.simulations import run_next_simulation
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer, submit_job
from tests.broker.pools import register_pool

CLOSED = {"queues": {"standard": {"state": "holding"}}}


async def test_a_proposal_is_compared_with_the_recorded_window_by_contract_and_queue(
    api: Api, system: System, clock: ManualClock
) -> None:
    began, recorder = clock.now, CycleRecorder()
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=1)
    for _ in range(2):
        await submit_job(api, customer.dataset["id"], customer_id=customer.id)
        async with system.work() as work:
            await run_cycle(work, recorder=recorder)
        clock.advance(seconds=1)
    body = {"proposal": CLOSED, "begins_at": began.isoformat()}
    asked = await api.post("/queues/simulations", body, expect=202)
    assert (asked["status"], asked["result"]) == ("queued", None)
    assert await run_next_simulation(system)
    assert not await run_next_simulation(system)
    done = await api.get(f"/queues/simulations/{asked['id']}")
    assert (done["status"], done["fault"], done["progress"]) == ("done", None, 1)
    result = done["result"]
    assert (result["jobs"], result["starts_reproduced"], result["later_count"]) == (2, 1, 1)
    (group,) = result["groups"]
    assert (group["contract_id"], group["queue"]) == (customer.contract["id"], "standard")
    assert [group[side]["started"] for side in ("today", "proposed")] == [1, 0]
    assert [group[side]["gpu_seconds"] for side in ("today", "proposed")] == [1, 0]
    assert float(group["today"]["cost"]["amount"]) > float(group["proposed"]["cost"]["amount"]) == 0
    assert [(pool["pool"], pool["today"]["utilisation"]) for pool in result["pools"]] == [("test", 1)]
    assert result["later"][0]["proposed"] is None


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"proposal": {"queues": {"standard": {"priority": -1}}}}, "proposal"),
        ({"proposal": {}}, "proposal"),
        ({"proposal": {"queues": {"nope": {"priority": 1}}}}, "proposal.queues.nope"),
        ({"proposal": {"pools": {"nope": {"open": False}}}}, "proposal.pools.nope"),
        ({"begins_at": "2200-01-01T00:00:00Z"}, "begins_at"),
        ({"ends_at": "2199-01-01T00:00:00Z"}, "ends_at"),
    ],
)
async def test_what_cannot_be_simulated_is_refused_by_its_field(
    api: Api, clock: ManualClock, changed: dict[str, object], field: str
) -> None:
    body = {"proposal": CLOSED, "begins_at": (clock.now - timedelta(hours=1)).isoformat(), **changed}
    refused = await api.post("/queues/simulations", body, expect=422)
    assert refused["errors"][0]["field"] == field


async def test_a_window_of_which_nothing_is_recorded_fails_with_the_cure(
    api: Api, system: System, clock: ManualClock
) -> None:
    body = {"proposal": CLOSED, "begins_at": (clock.now - timedelta(hours=1)).isoformat()}
    asked = await api.post("/queues/simulations", body, expect=202)
    await run_next_simulation(system)
    told = await api.get(f"/queues/simulations/{asked['id']}")
    assert (told["status"], told["result"]) == ("failed", None)
    assert "begin it earlier" in told["fault"]
    await api.get("/queues/simulations/sim_none", expect=404)
