"""Agents of pools: one live one a pool, seen, draining, gone; and pools that rest after failed starts."""

from typing import Any

import pytest

from broker.capacity.agents import AgentCard, PoolServed, drain_agent, register_agent, renew_agent, retire_agent
from broker.capacity.readiness import command_good_starts, note_failed_start
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_customer, staff_key
from tests.broker.pools import make_card

ELSEWHERE = {"id": "agt_other", "host": "machine-2", "boot_id": "boot-2", "data_dir": "/srv/broker"}


async def register(system: System, **fields: Any) -> AgentCard:
    card = make_card(**fields)
    async with system.work() as work:
        await register_agent(work, card)
    return card


async def renew(system: System, card: AgentCard, machine_load: float | None = None) -> bool:
    async with system.work() as work:
        return await renew_agent(work, card, machine_load)


async def fail_start(system: System, reason: str = "no such command") -> None:
    async with system.work() as work:
        await note_failed_start(work, "test", reason)


async def read_pool(api: Api) -> Any:
    return await api.get("/pools/test")


async def test_agent_registers_with_its_devices_and_is_seen(api: Api, system: System, clock: ManualClock) -> None:
    card = await register(system, gpus=2, sku="rtx-3090")
    clock.advance(seconds=5)
    assert await renew(system, card)
    (agent,) = (await api.get("/agents"))["data"]
    assert (agent["id"], agent["pool"], agent["gpus"], agent["sku"]) == (card.id, "test", 2, "rtx-3090")
    assert (agent["state"], agent["host"], agent["version"]) == ("live", "machine-1", "0.1.0")
    assert agent["last_seen_at"] > agent["started_at"]
    assert await api.get(f"/agents/{card.id}") == agent
    pool = await read_pool(api)
    assert (pool["state"], pool["agent_id"], pool["total_gpus"]) == ("open", card.id, 2)


async def test_agent_tells_the_load_of_its_machine(api: Api, system: System) -> None:
    card = await register(system)
    assert (await api.get(f"/agents/{card.id}"))["machine_load"] is None
    assert await renew(system, card, 1.25)
    assert (await api.get(f"/agents/{card.id}"))["machine_load"] == 1.25


@pytest.mark.parametrize("changed", [ELSEWHERE, ELSEWHERE | {"boot_id": "boot-1"}, {"boot_id": "boot-2"}])
async def test_pool_of_a_live_agent_is_refused_to_another(
    changed: dict[str, str], system: System, clock: ManualClock
) -> None:
    """To another machine's, to one of another data directory here, and to a copy of the same data directory."""
    await register(system)
    clock.advance(seconds=system.services.settings.lease_seconds - 1)
    with pytest.raises(PoolServed, match=r"^BROKER_POOL: pool test is served by [^\n]*$"):
        await register(system, **changed)
    clock.advance(seconds=1)
    await register(system, **changed)


async def test_same_agent_takes_its_pool_again_at_once(system: System) -> None:
    await register(system)
    await register(system, host="its-next-container")


async def test_agent_whose_pool_was_taken_while_it_was_silent_is_told_so(system: System, clock: ManualClock) -> None:
    first = await register(system)
    clock.advance(seconds=system.services.settings.lease_seconds)
    second = await register(system, **ELSEWHERE)
    assert (await renew(system, first), await renew(system, second)) == (False, True)


async def test_agent_that_was_silent_and_kept_its_pool_is_live_again(
    api: Api, system: System, clock: ManualClock
) -> None:
    card = await register(system)
    clock.advance(hours=1)
    assert (await read_pool(api))["state"] == "silent"
    assert await renew(system, card)
    assert (await read_pool(api))["state"] == "open"


async def test_pool_drains_and_is_free_when_its_agent_has_left(api: Api, system: System) -> None:
    card = await register(system)
    async with system.work() as work:
        await drain_agent(work, card)
    assert (await read_pool(api))["state"] == "draining"
    async with system.work() as work:
        await retire_agent(work, card)
    assert (await read_pool(api))["state"] == "unserved"
    assert (await api.get(f"/agents/{card.id}"))["state"] == "gone"
    await register(system, **ELSEWHERE)
    assert (await read_pool(api))["state"] == "open"


async def test_agent_that_leaves_late_does_not_close_its_successors_pool(
    api: Api, system: System, clock: ManualClock
) -> None:
    first = await register(system)
    clock.advance(hours=1)
    await register(system, **ELSEWHERE)
    async with system.work() as work:
        await retire_agent(work, first)
    assert (await read_pool(api))["state"] == "open"


async def test_failed_starts_let_a_pool_rest_until_one_goes_well(api: Api, system: System, clock: ManualClock) -> None:
    await register(system)
    await fail_start(system)
    await fail_start(system, "another, while it rests")
    pool = await read_pool(api)
    assert (pool["state"], pool["failed_starts"], pool["last_failure"]) == ("resting", 1, "no such command")
    clock.advance(seconds=5)
    assert (await read_pool(api))["state"] == "open"
    await fail_start(system)
    assert (await read_pool(api))["failed_starts"] == 2
    async with system.work() as work:
        await work.run_together(command_good_starts(["test"]))
    assert (await read_pool(api))["failed_starts"] == 0


@pytest.mark.parametrize("by", ["ops", "a new start of its agent"])
async def test_pool_that_rests_for_good_is_opened(by: str, api: Api, system: System, clock: ManualClock) -> None:
    await register(system)
    for _ in range(8):
        await fail_start(system)
        clock.advance(seconds=601)
        await renew(system, make_card())
    pool = await read_pool(api)
    assert (pool["state"], pool["rests_until"], pool["failed_starts"]) == ("resting", None, 8)
    if by == "ops":
        opened = (await api.call("PATCH", "/pools/test", json={"open": True}, expect=200)).json()
        assert opened["state"] == "open"
    else:
        await register(system)
    assert (await read_pool(api))["state"] == "open"


async def test_agents_are_for_ops_and_customers_see_no_machine(api: Api, system: System) -> None:
    await register(system)
    await fail_start(system, "/opt/secret/trainer: not found")
    customer = await make_customer(api)
    async with customer_api(api, customer["id"]) as own:
        await own.get("/agents", expect=403)
        pool = await own.get("/pools/test")
    assert (pool["agent_id"], pool["last_failure"]) == (None, None)
    assert "secret" not in str(pool)
    for role, status in (("finance", 403), ("ops", 200)):
        async with Api.connect(api.app, await staff_key(api, role)) as staff:
            await staff.get("/agents", expect=status)


async def test_agents_come_in_pages(api: Api, system: System) -> None:
    for number in range(3):
        await register(system, pool=f"pool-{number}", id=f"agt_{number}")
    first = await api.get("/agents", limit=2)
    rest = await api.get("/agents", limit=2, cursor=first["next_cursor"])
    assert [agent["id"] for agent in first["data"] + rest["data"]] == ["agt_2", "agt_1", "agt_0"]
    assert rest["next_cursor"] is None
