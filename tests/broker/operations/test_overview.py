"""What ops and customers see at one moment, on the database."""

from datetime import timedelta
from typing import Any

import pytest

from broker.operations import overview
from broker.operations.overview import KEPT, OverviewReading
from broker.scheduling.cycle.live import run_cycle
from broker.system import System
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer, submit_job
from tests.broker.messages import listing_messages
from tests.broker.pools import register_pool


async def submit(api: Api, customer: Customer, clock: Any, **fields: Any) -> None:
    clock.advance(seconds=1)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id, **fields)


async def plan(system: System) -> None:
    async with system.work() as work:
        await run_cycle(work)


async def test_ops_sees_who_holds_more_than_its_due_and_a_customer_sees_itself_alone(
    api: Api, system: System, clock: Any
) -> None:
    acme, beta = await make_ready_customer(api), await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=4)
    await submit(api, acme, clock, gpus=4)
    await plan(system)
    await submit(api, beta, clock, gpus=1)
    await submit(api, acme, clock, gpus=1)
    await plan(system)

    seen = await api.get("/operations/overview")
    queue = next(each for each in seen["queues"] if each["name"] == "standard")
    assert (queue["waiting_jobs"], queue["running_jobs"], queue["held_gpus"], queue["weight"]) == (2, 1, 4, 100)
    (pool,) = seen["pools"]
    assert (pool["total_gpus"], pool["held_gpus"], pool["state"]) == (4, 4, "open")
    assert sum(seen["waiting_by_reason"].values()) == 2
    told = {each["contract_id"]: each for each in seen["contracts"]}
    mine, theirs = told[acme.contract["id"]], told[beta.contract["id"]]
    assert (mine["held_gpus"], mine["deserved_gpus"], mine["share_percent"]) == (4, "3.00", 133)
    assert mine["why"] == f"{mine['customer']} waits because {theirs['customer']}, which holds fewer GPUs, is ahead."
    (pair,) = seen["starved_and_borrowing"]
    assert (pair["starved"], pair["borrowing"], pair["gpus"]) == (theirs["customer"], mine["customer"], "1.00")

    async with customer_api(api, acme.id) as own:
        standing = await own.get(f"/contracts/{acme.contract['id']}/standing")
        assert theirs["customer"] not in str(standing)
        assert standing["types"][0]["why"].startswith("This contract waits because another customer, which holds fewer")
        assert standing["types"][0]["why_zh"].startswith("本合同在等待，因为另一位客户排在前面")


async def test_looking_costs_as_many_statements_however_many_jobs_wait_and_none_for_who_looks_again(
    api: Api, system: System, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=1)
    counts = []
    for jobs in (1, 4):
        for _each in range(jobs):
            await submit(api, customer, clock)
        await plan(system)
        clock.now += KEPT
        await api.get("/operations/overview")
        clock.now += KEPT
        with listing_messages(monkeypatch) as messages:
            await api.get("/operations/overview")
        counts.append(len(messages))
    with listing_messages(monkeypatch) as again:
        clock.now += KEPT - timedelta(milliseconds=1)
        await api.get("/operations/overview")
    assert counts[0] == counts[1] > len(again)


async def test_a_page_shows_the_last_reading_of_a_long_line_while_the_next_is_made(
    api: Api, system: System, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make_ready_customer(api)
    await submit(api, customer, clock)
    reading = OverviewReading(system)
    first = await reading.read_for_page()
    await submit(api, customer, clock)
    assert (await reading.read_for_page()).waiting_jobs == 2, "a short line is read anew"
    monkeypatch.setattr(overview, "LONG_LINE", 2)
    await submit(api, customer, clock)
    assert (await reading.read_for_page()).waiting_jobs == 2
    assert reading.next is None
    clock.now += overview.KEPT_OF_LONG
    assert (await reading.read_for_page()).waiting_jobs == 2
    assert reading.next is not None
    await reading.next
    assert (await reading.read_for_page()).waiting_jobs == 3
    await submit(api, customer, clock)
    clock.now += overview.OLDEST_SHOWN + timedelta(seconds=1)
    assert (await reading.read_for_page()).waiting_jobs == 4, "what is too old is not shown"
    assert first.waiting_jobs == 1
