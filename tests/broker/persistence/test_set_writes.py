"""Rows written in sets are the rows that a session's own flush would have written."""

from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker.identity.tables import Customer
from broker.jobs.tables import Job
from broker.ledger.tables import SegmentTotal
from broker.persistence.set_writes import insert_rows, write_changes
from broker.quotes.estimate import JobEstimate
from broker.system import System
from tests.broker.conftest import START
from tests.broker.estimates import make_estimate
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import start_job


async def list_jobs(session: AsyncSession) -> list[Job]:
    return list(await session.scalars(select(Job).order_by(Job.id)))


async def test_changed_rows_of_a_table_are_written_together(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    for _ in range(3):
        await start_job(system, customer)
    async with system.work() as work:
        for number, job in enumerate(await list_jobs(work.session)):
            job.progress, job.cost_micros, job.finished_at = {"step": number, "loss": None}, number, START
        await write_changes(work.session)
        assert not work.session.dirty, "what is written once is not written again"
    async with system.work() as work:
        written = [(job.progress, job.cost_micros, job.finished_at) for job in await list_jobs(work.session)]
    assert written == [({"step": number, "loss": None}, number, START) for number in range(3)]


async def test_a_value_of_the_domain_is_written_as_its_table_says(api: Api, system: System) -> None:
    job = await start_job(system, await make_ready_customer(api))
    estimate: JobEstimate = make_estimate(tokens=77)
    async with system.work() as work:
        row = await work.session.get_one(Job, job.id)
        row.estimate, row.progress = estimate, None
        await write_changes(work.session)
    async with system.work() as work:
        assert (await work.session.get_one(Job, job.id)).estimate == estimate


async def test_what_is_new_is_written_too_and_what_did_not_change_is_not(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        work.session.add(Customer(id="cus_new", name="New", created_at=START))
        row = await work.session.get_one(Customer, customer.id)
        row.name = f"{row.name}"
        await write_changes(work.session)
    async with system.work() as work:
        assert (await work.session.get_one(Customer, "cus_new")).name == "New"


async def test_rows_that_are_there_have_their_sum_added(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)

    def row(price: str, quantity: int) -> dict[str, Any]:
        own = {"contract_id": customer.contract["id"], "customer_id": customer.id, "month": "2026-11"} | {
            "used_month": "2026-11"
        }
        return own | {"unit": "tokens", "unit_price": Decimal(price), "billable": True, "quantity": quantity}

    for quantity in (1, 10):
        async with system.work() as work:
            rows = [row("0.00012", quantity), row("0.00009", 100)][: 2 if quantity == 1 else 1]
            await insert_rows(work.connection, SegmentTotal, rows, adding="quantity")
    async with system.work() as work:
        found = await work.session.execute(select(SegmentTotal.unit_price, SegmentTotal.quantity))
        assert {row.unit_price: row.quantity for row in found} == {Decimal("0.00012"): 11, Decimal("0.00009"): 100}
