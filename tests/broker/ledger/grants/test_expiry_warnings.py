"""A customer is told 30, 7 and 1 days before hours expire, each once."""

from datetime import timedelta
from typing import Any

from broker.daemon.loops import Daemon
from broker.daemon.sweeps import Sweeps
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, amend_contract, make_ready_customer
from tests.broker.running_jobs import HOUR


async def give(api: Api, contract_id: str, days: int) -> Any:
    expires_at = (START + timedelta(days=days)).isoformat()
    body = {
        "contract_id": contract_id,
        "kind": "promotional",
        "gpu_hours": "5",
        "reason": "x",
        "expires_at": expires_at,
    }
    return await api.post("/grants", body, expect=201)


async def told(api: Api, contract_id: str, kind: str = "grant_expiring") -> list[dict[str, Any]]:
    events = (await api.get(f"/contracts/{contract_id}/events", kind=kind))["data"]
    return [event["data"] for event in reversed(events)]


async def test_warnings_come_once_each_as_their_days_come(api: Api, system: System, clock: ManualClock) -> None:
    contract_id = (await make_ready_customer(api)).contract["id"]
    grant, daemon = await give(api, contract_id, 40), Daemon(system, agent=None)
    seen = []
    for hours in (9 * 24 + 23, 10 * 24, 11 * 24, 33 * 24, 33 * 24 + 1, 39 * 24, 40 * 24 - 1):
        clock.now = START + timedelta(hours=hours)
        await daemon.sweeps.warn_of_expiry()
        seen.append([event["days"] for event in await told(api, contract_id)])
    assert seen == [[], [30], [30], [30, 7], [30, 7], [30, 7, 1], [30, 7, 1]]
    last = (await told(api, contract_id))[-1]
    assert (last["grant_id"], last["left"], last["unit"]) == (grant["id"], 5 * HOUR, "gpu_seconds")
    clock.now = START + timedelta(days=40)
    for _twice in range(2):
        await daemon.sweeps.expire_grants()
    assert [event["unused"] for event in await told(api, contract_id, "grant_expired")] == [5 * HOUR]


async def test_expiry_that_an_amendment_moves_is_warned_of_anew(api: Api, system: System, clock: ManualClock) -> None:
    """What had been told of the old end was never told of the new one: hours expired without a word."""
    customer = await make_ready_customer(api, plan="prepaid", ends_at=(START + timedelta(days=40)).isoformat())
    contract_id, daemon = customer.contract["id"], Daemon(system, agent=None)
    clock.now = START + timedelta(days=11)
    await daemon.sweeps.warn_of_expiry()
    await amend_contract(api, contract_id, ends_at=(START + timedelta(days=100)).isoformat())
    for days in (11, 69, 71, 72):
        clock.now = START + timedelta(days=days)
        await daemon.sweeps.warn_of_expiry()
    ends = [(event["days"], event["expires_at"][:10]) for event in await told(api, contract_id)]
    assert ends == [(30, "2026-12-20"), (30, "2027-02-18")]


async def test_broker_that_was_away_tells_the_latest_warning_alone(
    api: Api, system: System, clock: ManualClock
) -> None:
    contract_id = (await make_ready_customer(api)).contract["id"]
    await give(api, contract_id, 40)
    clock.now = START + timedelta(days=39, hours=1)
    await Sweeps(system).warn_of_expiry()
    assert [event["days"] for event in await told(api, contract_id)] == [1]


async def test_short_or_empty_grants_are_not_warned_of_early(api: Api, system: System, clock: ManualClock) -> None:
    contract_id = (await make_ready_customer(api)).contract["id"]
    await give(api, contract_id, 6)
    void = await give(api, contract_id, 7)
    await api.post(f"/grants/{void['id']}/void", {"reason": "given twice"})
    await Sweeps(system).warn_of_expiry()
    assert await told(api, contract_id) == []
