"""Submissions decided by heart: answered as from the rows, whatever has changed meanwhile, and whoever did it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from broker.contracts.tables import Contract
from broker.contracts.terms.model import Overage
from broker.datasets.tables import Dataset
from broker.jobs.admitting.submissions import Submissions
from broker.ledger.tables import HoldLeg
from broker.processes.boot import DatabaseUrls
from broker.system import System
from pricing.grants import GrantKind
from tests.broker.factories import CONFIG, Api, Customer, customer_api, make_ready_customer
from tests.broker.messages import listing_messages
from tests.broker.running_jobs import add_grant, broken_rules, read_balance

COVERED = 6


@dataclass
class Orderer:
    """Submits one quoted order again and again, to one or the other of two processes on the same database."""

    own: Api
    app: FastAPI
    processes: list[Submissions]
    order: dict[str, Any]
    need: int

    async def submit(self, process: int = 0, *, key: str | None = None, **fields: Any) -> Any:
        self.app.state.submissions = self.processes[process]
        headers = {"Idempotency-Key": key} if key else {}
        return await self.own.call("POST", "/jobs", json={**self.order, **fields}, headers=headers)

    async def list_types(self, process: int, count: int) -> list[str]:
        """Submit so often, one after the other; lists what each answer was: its status, or the type of its problem."""
        answers = [await self.submit(process) for _ in range(count)]
        return [answer.json().get("type", str(answer.status_code)) for answer in answers]


@pytest.fixture
async def customer(api: Api, system: System) -> Customer:
    """Make a customer that has the hours of its grants and no others, and no budget."""
    made = await make_ready_customer(api)
    async with system.work() as work:
        await work.session.execute(update(Contract).values(overage=Overage.BLOCK.value))
    return made


@pytest.fixture
async def orderer(api: Api, system: System, customer: Customer) -> AsyncIterator[Orderer]:
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"]}
    async with customer_api(api, customer.id) as own:
        quote = await own.post("/quotes", body, expect=201)
        need = quote["estimate"]["gpu_seconds"]["p90"]
        await add_grant(system, customer.contract["id"], need * COVERED)
        yield Orderer(own, api.app, [Submissions(60), Submissions(60)], {**body, "quote_id": quote["id"]}, need)


async def test_two_processes_that_remember_the_same_hours_never_sell_them_twice(
    orderer: Orderer, system: System, customer: Customer
) -> None:
    assert [await orderer.list_types(process, 1) for process in (0, 1)] == [["201"], ["201"]]
    sent = [orderer.submit(number % 2) for number in range(4 * COVERED)]
    answers = sorted(answer.status_code for answer in await asyncio.gather(*sent))
    assert answers == [201] * (COVERED - 2) + [402] * (4 * COVERED - COVERED + 2)
    assert (await read_balance(system, customer.contract["id"])).held_gpu_seconds == orderer.need * COVERED
    assert await broken_rules(system) == {}


async def test_what_is_given_made_void_and_cancelled_while_two_processes_submit_is_never_sold_twice(
    orderer: Orderer, api: Api, system: System, customer: Customer
) -> None:
    contract_id = customer.contract["id"]
    grant_id = await add_grant(system, contract_id, orderer.need * COVERED)
    first = [(await orderer.submit(process)).json()["id"] for process in (0, 1)]
    changes = [
        add_grant(system, contract_id, orderer.need, kind=GrantKind.PROMOTIONAL, unit_price=0, advance=False),
        api.post(f"/grants/{grant_id}/void", {"reason": "given by mistake"}),
        *(api.post(f"/jobs/{job_id}/cancel") for job_id in first),
    ]
    sent = [orderer.submit(number % 2) for number in range(2 * COVERED)]
    answers = (await asyncio.gather(*sent, *changes))[: len(sent)]
    assert {answer.status_code for answer in answers} <= {201, 402}
    admitted = sum(answer.status_code == 201 for answer in answers)
    assert (await read_balance(system, contract_id)).held_gpu_seconds == orderer.need * admitted
    assert await broken_rules(system) == {}


async def test_batches_decided_by_heart_share_the_lock_of_a_contract_and_wait_for_those_that_change_it(
    orderer: Orderer, customer: Customer, urls: DatabaseUrls
) -> None:
    await orderer.submit()
    lock = "SELECT id FROM contracts WHERE id = %s FOR "
    with psycopg.connect(urls.owner or "") as other:
        other.execute(lock + "SHARE", [customer.contract["id"]])
        assert await orderer.list_types(0, 1) == ["201"]
        other.execute(lock + "NO KEY UPDATE", [customer.contract["id"]])
        waiting = asyncio.create_task(orderer.submit())
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert (await waiting).status_code == 201


async def test_what_another_process_has_taken_is_missed_at_the_end_and_not_before(
    orderer: Orderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await orderer.list_types(0, 1) == ["201"]
    assert await orderer.list_types(1, COVERED - 2) == ["201"] * (COVERED - 2)
    with listing_messages(monkeypatch) as messages:
        assert await orderer.list_types(0, 1) == ["201"]
    assert len([each for each in messages if each.startswith("BEGIN")]) == 1
    assert await orderer.list_types(0, 2) == ["/problems/insufficient-balance"] * 2
    assert await orderer.list_types(1, 1) == ["/problems/insufficient-balance"]


async def test_hours_that_come_meanwhile_pay_in_their_order(
    orderer: Orderer, system: System, customer: Customer
) -> None:
    await orderer.submit()
    gift = await add_grant(
        system, customer.contract["id"], orderer.need, kind=GrantKind.PROMOTIONAL, unit_price=0, advance=False
    )
    job = (await orderer.submit()).json()["id"]
    async with system.work() as work:
        mine = HoldLeg.hold_id == job.replace("job_", "hol_")
        drawn = (await work.session.scalars(select(HoldLeg.grant_id).where(mine, HoldLeg.grant_id.is_not(None)))).all()
    assert drawn == [gift]


async def test_hours_that_a_cancelled_job_gives_back_are_sold_again(orderer: Orderer) -> None:
    jobs = [(await orderer.submit()).json()["id"] for _ in range(COVERED)]
    assert await orderer.list_types(0, 1) == ["/problems/insufficient-balance"]
    await orderer.own.post(f"/jobs/{jobs[0]}/cancel")
    assert await orderer.list_types(0, 2) == ["201", "/problems/insufficient-balance"]


async def test_other_terms_a_draining_queue_and_a_deleted_data_set_are_seen_at_once(
    orderer: Orderer, api: Api, system: System
) -> None:
    await orderer.submit()
    for months_budget, answer in ((1, "/problems/budget-exceeded"), (None, "201")):
        async with system.work() as work:
            await work.session.execute(update(Contract).values(monthly_budget_micros=months_budget))
        assert await orderer.list_types(0, 1) == [answer]
    assert await orderer.list_types(0, 2) == ["201", "201"]
    await api.call("PATCH", "/queues/standard", json={"state": "draining"}, expect=200)
    assert await orderer.list_types(0, 1) == ["/problems/queue-draining"]
    await api.call("PATCH", "/queues/standard", json={"state": "open"}, expect=200)
    assert await orderer.list_types(0, 1) == ["201"]
    async with system.work() as work:
        await work.session.execute(update(Dataset).values(deleted_at=work.now))
    assert await orderer.list_types(0, 1) == ["/problems/not-found"]


async def test_a_retry_gets_the_first_answer_and_its_neighbours_their_own(orderer: Orderer, system: System) -> None:
    first = await orderer.submit(key="first")
    again, another, *new = await asyncio.gather(
        orderer.submit(key="first"),
        orderer.submit(key="first", name="another"),
        *(orderer.submit(key=f"new {number}") for number in range(3)),
    )
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert another.json()["type"] == "/problems/idempotency-conflict"
    assert len({answer.json()["id"] for answer in (first, *new)}) == 4
    assert await broken_rules(system) == {}


async def test_a_revoked_key_ends_at_once(orderer: Orderer, api: Api, customer: Customer) -> None:
    made = await api.post(f"/customers/{customer.id}/api-keys", {"name": "laptop"}, expect=201)
    async with Api.connect(api.app, made["key"]) as laptop:
        for _ in range(2):
            await laptop.post("/jobs", orderer.order, expect=201)
        await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)
        sent = [laptop.call("POST", "/jobs", json=orderer.order), orderer.submit()]
        assert [answer.status_code for answer in await asyncio.gather(*sent)] == [401, 201]


async def test_a_connection_that_was_cut_while_idle_is_found_out_before_anything_is_sent(
    orderer: Orderer, urls: DatabaseUrls
) -> None:
    await orderer.submit()
    with psycopg.connect(urls.owner or "", autocommit=True) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await orderer.list_types(0, 2) == ["201", "201"]
