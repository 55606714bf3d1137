"""Submissions in batches: each has its own answer, the books are those of one after the other, nothing is half done."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import httpx2 as httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from broker.http.idempotency import IdempotencyKey
from broker.jobs.admitting.admission_batch import NOT_YET
from broker.jobs.schemas import JobOut
from broker.jobs.tables import Job, JobEvent
from broker.ledger.tables import Hold, Transfer
from broker.processes.boot import DatabaseUrls
from broker.quotes.tables import Quote
from broker.system import System
from pricing.money import Money
from tests.broker.factories import (
    CONFIG,
    Api,
    Customer,
    customer_api,
    make_customer,
    make_ready_customer,
    sign_contract,
    upload_dataset,
)
from tests.broker.messages import listing_messages
from tests.broker.running_jobs import broken_rules, read_balance
from tests.broker.waiting import until

COUNT_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
END_WAITING = COUNT_WAITING.replace("count(*)", "pg_terminate_backend(pid)")
COVERED = 3


@pytest.fixture
async def buyer(api: Api) -> Customer:
    """Make a customer whose monthly budget covers three jobs."""
    owner = await make_customer(api)
    dataset = await upload_dataset(api, owner["id"])
    estimate = (await api.post("/quotes", {"config": CONFIG, "dataset_id": dataset["id"]}, expect=201))["estimate"]
    exact = estimate["gpu_seconds"]["p90"] * Fraction("6.8") / 3600 + estimate["tokens"] * Fraction("0.00012")
    budget = (Money(math.ceil(exact * 1_000_000)) * COVERED).format_amount()
    return Customer(owner["id"], await sign_contract(api, owner["id"], monthly_budget=budget), dataset)


@pytest.fixture
async def own(api: Api, buyer: Customer) -> AsyncIterator[Api]:
    async with customer_api(api, buyer.id) as own:
        yield own


@contextmanager
def locked(urls: DatabaseUrls, statement: str, *values: str) -> Iterator[psycopg.Connection]:
    """Hold a lock for as long as the block lasts; yields another connection, to watch."""
    with psycopg.connect(urls.owner or "") as holder, psycopg.connect(urls.owner or "", autocommit=True) as watch:
        holder.execute(statement.encode(), values)
        yield watch


def locked_contract(urls: DatabaseUrls, contract_id: str) -> Any:
    return locked(urls, "SELECT 1 FROM contracts WHERE id = %s FOR UPDATE", contract_id)


async def until_waiting(watch: psycopg.Connection, count: int = 1) -> None:
    await until(lambda: watch.execute(COUNT_WAITING.encode()).fetchone() == (count,))


async def send_together(
    own: Api, buyer: Customer, urls: DatabaseUrls, orders: list[tuple[dict[str, Any], str | None]]
) -> list[httpx.Response]:
    """Send orders while the contract is locked: the first one waits for the lock, all others are in its next batch."""
    with locked_contract(urls, buyer.contract["id"]) as watch:
        first = asyncio.create_task(own.call("POST", "/jobs", json=orders[0][0], headers=_name(orders[0][1])))
        await until_waiting(watch)
        others = [
            asyncio.create_task(own.call("POST", "/jobs", json=body, headers=_name(key))) for body, key in orders[1:]
        ]
        await asyncio.sleep(0.1)
    return await asyncio.gather(first, *others)


def _name(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


async def count_rows(system: System, *tables: Any) -> list[int]:
    async with system.work() as work:
        return [await work.session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


@pytest.mark.parametrize("most", [1, 3, 64])
async def test_each_of_a_batch_has_its_own_answer_however_they_are_cut(
    api: Api, own: Api, app: FastAPI, system: System, buyer: Customer, urls: DatabaseUrls, most: int
) -> None:
    app.state.submissions.batches.together.most = most
    body = {"config": CONFIG, "dataset_id": buyer.dataset["id"]}
    quote = await own.post("/quotes", body, expect=201)
    order = {**body, "quote_id": quote["id"]}
    project = await own.post("/projects", {"name": "tea"}, expect=201)
    named: list[tuple[dict[str, Any], str | None]] = [
        (order, "once"),
        ({**order, "name": "another"}, "once"),
        (order, "once"),
        ({**order, "project_id": "prj_none"}, "refused"),
        ({**order, "quote_id": "quo_none"}, None),
        ({**order, "config": {**CONFIG, "epochs": 2}}, None),
        ({**order, "queue": "priority"}, None),
        ({**order, "max_cost": "0.000001"}, None),
    ]
    covered: list[tuple[dict[str, Any], str | None]] = [
        ({**order, "project_id": project["id"]}, None),
        (body, None),
        (order, None),
        (order, None),
    ]
    answers = await send_together(own, buyer, urls, named + covered)

    told = [(answer.status_code, answer.json().get("type", "")) for answer in answers]
    assert told[: len(named)] == [
        (201, ""),
        (409, "/problems/idempotency-conflict"),
        (201, ""),
        (404, "/problems/not-found"),
        (404, "/problems/not-found"),
        (409, "/problems/quote-mismatch"),
        (422, "/problems/invalid-request"),
        (402, "/problems/max-cost-exceeded"),
    ]
    assert sorted(told[len(named) :]) == [(201, "")] * (COVERED - 1) + [(402, "/problems/budget-exceeded")] * 2
    assert answers[0].json()["id"] == answers[2].json()["id"]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers[:3]] == [None, None, "true"]
    assert await count_rows(system, Job, Hold, JobEvent, IdempotencyKey) == [COVERED, COVERED, COVERED, 1]
    assert await broken_rules(system) == {}
    await own.post("/jobs", {**order, "max_cost": "0.01"}, key="refused", expect=402)


async def test_a_batch_never_oversells_what_one_after_the_other_would_not(
    own: Api, system: System, buyer: Customer, urls: DatabaseUrls
) -> None:
    body = {"config": CONFIG, "dataset_id": buyer.dataset["id"]}
    quote = await own.post("/quotes", body, expect=201)
    order = {**body, "quote_id": quote["id"]}
    answers = await send_together(own, buyer, urls, [(order, None)] * 12)
    assert sorted(answer.status_code for answer in answers) == [201] * COVERED + [402] * (12 - COVERED)
    balance = await read_balance(system, buyer.contract["id"])
    assert (balance.budget_left, balance.held_money) == (
        Money(0),
        Money.from_decimal(buyer.contract["monthly_budget"]["amount"]),
    )
    assert await broken_rules(system) == {}


async def test_orders_of_one_batch_under_several_contracts_are_each_charged_to_their_own(
    api: Api, own: Api, system: System, buyer: Customer, urls: DatabaseUrls
) -> None:
    first, second = buyer.contract["id"], (await sign_contract(api, buyer.id))["id"]
    strangers = (await sign_contract(api, (await make_customer(api))["id"]))["id"]
    body = {"config": CONFIG, "dataset_id": buyer.dataset["id"]}
    order = {**body, "quote_id": (await own.post("/quotes", body, expect=201))["id"]}
    named = [first, second, first, None, strangers, second, second, second, first, first]
    answers = await send_together(own, buyer, urls, [({**order, "contract_id": each}, None) for each in named])

    told = [(answer.status_code, answer.json().get("contract_id")) for answer in answers]
    within = [(201, first), (201, second), (201, first), (409, None), (404, None), *[(201, second)] * 3]
    assert told == [*within, (201, first), (402, None)]
    assert "name one" in answers[3].json()["detail"]
    held = [(await read_balance(system, each)).held_gpu_seconds for each in (first, second)]
    assert held[0] * 4 == held[1] * COVERED > 0
    assert await broken_rules(system) == {}


async def test_a_connection_that_is_killed_within_a_batch_answers_all_with_a_failure_and_leaves_nothing(
    own: Api, system: System, buyer: Customer, urls: DatabaseUrls
) -> None:
    body = {"config": CONFIG, "dataset_id": buyer.dataset["id"]}
    await own.post("/jobs", body, expect=201)
    before = await count_rows(system, Job, Hold, JobEvent, Transfer, IdempotencyKey, Quote)
    accounts = "SELECT 1 FROM ledger_accounts WHERE contract_id = %s FOR UPDATE"
    with locked(urls, accounts, buyer.contract["id"]) as watch:
        sent = [
            asyncio.create_task(own.call("POST", "/jobs", json=body, headers={"Idempotency-Key": f"key {number}"}))
            for number in range(COVERED - 1)
        ]
        await until_waiting(watch)
        watch.execute(END_WAITING.encode())
        first = await asyncio.wait_for(asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED), 30)
        assert {task.result().status_code for task in first[0]} == {503}
    answers = await asyncio.gather(*sent)
    failed = [number for number, answer in enumerate(answers) if answer.status_code == 503]
    assert failed
    done = len(answers) - len(failed)
    assert await count_rows(system, Job, Hold, JobEvent) == [count + done for count in before[:3]]
    assert await broken_rules(system) == {}
    again = await own.post("/jobs", body, key=f"key {failed[0]}", expect=201)
    assert again["status"] == "queued"


async def test_a_key_that_is_used_elsewhere_meanwhile_is_decided_anew(
    own: Api, system: System, buyer: Customer, urls: DatabaseUrls
) -> None:
    """The key is taken by another request after the batch has looked for it, and before it keeps its answer."""
    body = {"config": CONFIG, "dataset_id": buyer.dataset["id"]}
    accounts = "SELECT 1 FROM ledger_accounts WHERE contract_id = %s FOR UPDATE"
    await own.post("/jobs", body, expect=201)
    with locked(urls, accounts, buyer.contract["id"]) as watch:
        submitting = asyncio.create_task(own.call("POST", "/jobs", json=body, headers={"Idempotency-Key": "taken"}))
        await until_waiting(watch)
        await own.post("/projects", {"name": "first"}, key="taken", expect=201)
    assert (await submitting).json()["type"] == "/problems/idempotency-conflict"
    assert await count_rows(system, Job, Hold) == [1, 1]


@pytest.fixture
async def neighbour(api: Api) -> Customer:
    return await make_ready_customer(api)


async def order_of(own: Api, buyer: Customer) -> dict[str, Any]:
    body = {"config": CONFIG, "dataset_id": buyer.dataset["id"]}
    return {**body, "quote_id": (await own.post("/quotes", body, expect=201))["id"]}


async def test_submissions_of_several_tenants_are_written_together_and_each_is_decided_from_its_own_rows(
    api: Api, own: Api, system: System, buyer: Customer, neighbour: Customer, urls: DatabaseUrls
) -> None:
    order = await order_of(own, buyer)
    async with customer_api(api, neighbour.id) as other:
        theirs = await order_of(other, neighbour)
        foreign: list[dict[str, Any]] = [
            {"quote_id": order["quote_id"]},
            {"dataset_id": order["dataset_id"]},
            {"contract_id": buyer.contract["id"]},
        ]
        with locked_contract(urls, buyer.contract["id"]) as watch:
            first = asyncio.create_task(own.post("/jobs", order, expect=201))
            await until_waiting(watch)
            sent = [own.call("POST", "/jobs", json=order, headers=_name("same"))]
            sent += [other.call("POST", "/jobs", json={**theirs, **fields}) for fields in ({}, *foreign)]
            sent += [other.call("POST", "/jobs", json=theirs, headers=_name("same"))]
            waiting = [asyncio.create_task(each) for each in sent]
            await asyncio.sleep(0.1)
        answers = await asyncio.gather(*waiting)
        await first
    assert [answer.status_code for answer in answers] == [201, 201, 404, 404, 404, 201]
    with psycopg.connect(urls.owner or "") as everything:
        written = everything.execute("SELECT count(*) FROM jobs GROUP BY xmin ORDER BY 1").fetchall()
        owners = everything.execute("SELECT customer_id, count(*) FROM jobs GROUP BY 1").fetchall()
    assert written == [(1,), (3,)]
    assert dict(owners) == {buyer.id: 2, neighbour.id: 2}
    assert await broken_rules(system) == {}


async def test_a_contract_that_is_locked_for_long_holds_up_its_own_submissions_only(
    api: Api, own: Api, buyer: Customer, neighbour: Customer, urls: DatabaseUrls
) -> None:
    order = await order_of(own, buyer)
    async with customer_api(api, neighbour.id) as other:
        theirs = await order_of(other, neighbour)
        with locked_contract(urls, buyer.contract["id"]) as watch:
            stuck = [asyncio.create_task(own.post("/jobs", order, expect=201)) for _ in range(2)]
            await until_waiting(watch)
            for _ in range(2):
                await other.post("/jobs", theirs, expect=201)
            assert not any(each.done() for each in stuck)
        await asyncio.gather(*stuck)


async def test_a_customers_orders_with_and_without_a_contract_share_what_it_has_left(
    own: Api, system: System, buyer: Customer, urls: DatabaseUrls
) -> None:
    order = await order_of(own, buyer)
    named = {**order, "contract_id": buyer.contract["id"]}
    answers = await send_together(own, buyer, urls, [(each, None) for each in (order, named, order, named, order)])
    assert sorted(answer.status_code for answer in answers) == [201] * COVERED + [402] * (5 - COVERED)
    assert await broken_rules(system) == {}


async def test_a_key_that_was_revoked_meanwhile_is_found_out_in_its_batch_and_leaves_nothing(
    api: Api, own: Api, system: System, buyer: Customer, neighbour: Customer, urls: DatabaseUrls
) -> None:
    """Whose it was is remembered; the batch that would write its job looks it up again, beside those of others."""
    made = await api.post(f"/customers/{buyer.id}/api-keys", {"name": "laptop"}, expect=201)
    order = await order_of(own, buyer)
    async with Api.connect(api.app, made["key"]) as laptop, customer_api(api, neighbour.id) as other:
        theirs = await order_of(other, neighbour)
        await laptop.post("/jobs", order, expect=201)
        await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)
        with locked_contract(urls, buyer.contract["id"]) as watch:
            first = asyncio.create_task(own.post("/jobs", order, expect=201))
            await until_waiting(watch)
            sent = [laptop.call("POST", "/jobs", json=order), other.call("POST", "/jobs", json=theirs)]
            waiting = [asyncio.create_task(each) for each in sent]
            await asyncio.sleep(0.1)
        answers = await asyncio.gather(*waiting)
        await first
    assert [answer.status_code for answer in answers] == [401, 201]
    assert await count_rows(system, Job, Hold) == [3, 3]


async def test_an_answer_is_written_as_its_shape_writes_it(own: Api, buyer: Customer) -> None:
    """It is written past the shape; so every field that an order may have is held against the shape here."""
    order = await order_of(own, buyer)
    project = await own.post("/projects", {"name": "tea"}, expect=201)
    all_fields = {
        **order,
        "name": 'ink "wash" \u00e9\u58a8',
        "labels": {"team": "search"},
        "project_id": project["id"],
        "contract_id": buyer.contract["id"],
        "max_cost": "0.05",
        "gpu_types": ["cpu"],
        "prefer": "fastest",
        "finish_by": "2199-01-01T00:00:00.5+08:00",
        "gpus": 1,
    }
    for each in (order, all_fields, {**order, "quote_id": None}):
        answer = await own.call("POST", "/jobs", json=each, expect=201)
        assert JobOut.model_validate_json(answer.content).model_dump_json() == answer.text


async def test_a_submission_is_one_message(api: Api, neighbour: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One looks the key up, locks, and confirms what is remembered; the other writes and commits."""
    async with customer_api(api, neighbour.id) as own:
        order = await order_of(own, neighbour)
        for _ in range(2):  # then the connection knows the statements
            await own.post("/jobs", order, expect=201)
        with listing_messages(monkeypatch) as messages:
            job = await own.post("/jobs", order, expect=201)
        quote = await own.get(f"/quotes/{order['quote_id']}")
        kept = await own.get(f"/jobs/{job['id']}")
    assert [message.split(" ", 1)[0] for message in messages] == ["BEGIN;"]
    assert (kept["config"], kept["estimate"]) == (quote["config"], quote["estimate"])
    assert {name: kept[name] for name in job} == job


def test_what_is_not_written_of_a_new_job_is_null_by_itself() -> None:
    columns = [Job.__table__.columns[name] for name in NOT_YET]
    assert all(each.nullable and each.default is None and each.server_default is None for each in columns)
