"""What happened to a contract is told to its customer and to staff, newest first, and once for each occasion."""

import pytest

from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.system import System
from tests.broker.factories import Api, customer_api, make_customer, sign_contract, sign_prepaid


async def record(system: System, contract_id: str, *, occasion: str | None) -> bool:
    async with system.work() as work:
        terms = await contracts.get_contract(work, contract_id)
        return await record_contract_event(work, terms, ContractEventKind.SIGNED, {"n": 1}, occasion=occasion)


async def test_signing_is_the_first_event_and_its_customer_reads_it(api: Api) -> None:
    customer = await make_customer(api)
    contract = await sign_prepaid(api, customer["id"])
    async with customer_api(api, customer["id"]) as own:
        _paid, event = (await own.get(f"/contracts/{contract['id']}/events"))["data"]
    assert (event["object"], event["kind"], event["contract_id"]) == ("contract_event", "signed", contract["id"])
    assert event["data"] == {"plan": "prepaid", "committed_gpu_hours": 500}


async def test_event_with_an_occasion_is_recorded_once_for_each(api: Api, system: System) -> None:
    contract = await sign_contract(api, (await make_customer(api))["id"])
    occasions = ["2026-11", "2026-11", "2026-12", None, None]
    told = [await record(system, contract["id"], occasion=occasion) for occasion in occasions]
    assert told == [True, False, True, True, True]
    events = (await api.get(f"/contracts/{contract['id']}/events"))["data"]
    assert len(events) == 5
    assert [event["id"] for event in events] == sorted((event["id"] for event in events), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_hold_every_event_of_the_contract_once(api: Api, system: System, limit: int) -> None:
    customer = await make_customer(api)
    contract, _other = [await sign_contract(api, customer["id"]) for _ in range(2)]
    for _ in range(4):
        await record(system, contract["id"], occasion=None)
    ids, cursor = [], None
    while True:
        position = {} if cursor is None else {"cursor": cursor}
        page = await api.get(f"/contracts/{contract['id']}/events", kind="signed", limit=limit, **position)
        ids += [event["id"] for event in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(set(ids)) == len(ids) == 5


async def test_unknown_kind_and_unknown_contract_are_refused(api: Api) -> None:
    contract = await sign_contract(api, (await make_customer(api))["id"])
    problem = await api.get(f"/contracts/{contract['id']}/events", kind="sold", expect=422)
    assert problem["errors"][0]["field"] == "kind"
    await api.get("/contracts/con_nobody/events", expect=404)
