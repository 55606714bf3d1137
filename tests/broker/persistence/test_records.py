"""Records are rows as a session would read them, and what changed in them is written as its flush would."""

from collections.abc import Sequence

from sqlalchemy import select

from broker.jobs.tables import Job
from broker.ledger.tables import HoldLeg
from broker.persistence.driver import Command, Statement
from broker.persistence.records import RecordFormat, Records
from broker.quotes.estimating.estimate import JobEstimate
from broker.system import System
from broker.work import Work
from tests.broker.conftest import START
from tests.broker.estimates import make_estimate
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import start_job

JOBS = RecordFormat(Job, without=["config"])
READ = Statement(select(*JOBS.columns).order_by(Job.id))


async def read_records(work: Work) -> Records[Job]:
    (rows,) = await work.run_together([Command(READ)])
    return JOBS.read(rows)


async def list_jobs(work: Work) -> Sequence[Job]:
    return (await work.session.scalars(select(Job).order_by(Job.id))).all()


async def test_a_record_has_the_values_and_properties_of_its_row(api: Api, system: System) -> None:
    await start_job(system, await make_ready_customer(api))
    async with system.work() as work:
        (record,), (row,) = await read_records(work), await list_jobs(work)
        assert all(getattr(record, name) == getattr(row, name) for name in JOBS.names)
        assert (record.need, record.limits, record.promise) == (row.need, row.limits, row.promise)
        assert not hasattr(record, "config")


async def test_changed_records_are_written_together(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    for _ in range(3):
        await start_job(system, customer)
    async with system.work() as work:
        records = await read_records(work)
        for number, job in enumerate(records):
            job.progress, job.cost_micros, job.finished_at = {"step": number, "loss": None}, number, START
        (command,) = records.command_changes()
        await work.run_together([command])
    async with system.work() as work:
        written = [(job.progress, job.cost_micros, job.finished_at) for job in await list_jobs(work)]
    assert written == [({"step": number, "loss": None}, number, START) for number in range(3)]


async def test_what_did_not_change_is_not_written(api: Api, system: System) -> None:
    await start_job(system, await make_ready_customer(api))
    async with system.work() as work:
        records = await read_records(work)
        for job in records:
            job.id, job.gpus = f"{job.id}", job.gpus
        assert records.command_changes() == []


async def test_a_value_of_the_domain_is_written_as_its_table_says(api: Api, system: System) -> None:
    estimate: JobEstimate = make_estimate(tokens=77)
    await start_job(system, await make_ready_customer(api))
    async with system.work() as work:
        records = await read_records(work)
        for job in records:
            job.estimate, job.progress = estimate, None
        await work.run_together(records.command_changes())
    async with system.work() as work:
        (row,) = await list_jobs(work)
        assert row.estimate == estimate


async def test_a_new_record_is_written_once_and_then_as_one_that_was_read(api: Api, system: System) -> None:
    await start_job(system, await make_ready_customer(api))
    async with system.work() as work:
        known = (await work.session.scalars(select(HoldLeg).limit(1))).one()
        legs = RecordFormat(HoldLeg).read([])
        told = {name: getattr(known, name) for name in ("customer_id", "hold_id", "unit", "account_id", "unit_price")}
        leg = legs.make(
            id="leg_new", position=99, borne=False, extends=True, billable=True, held=5, captured=0, released=0, **told
        )
        leg.captured += 1
        await work.run_together(legs.command_changes())
        leg.released = 2
        (again,) = legs.command_changes()
        await work.run_together([again])
    async with system.work() as work:
        row = await work.session.get_one(HoldLeg, "leg_new")
        assert (row.captured, row.released, row.compensated, row.grant_id) == (1, 2, 0, None)
