"""Builders below the API: a job that runs, with exactly the hold and the usage that a test wants."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.contracts import service as contracts
from broker.contracts.reading.candidates import Place, lock_candidates, read_candidates
from broker.contracts.terms.model import NewGrant
from broker.jobs.running.locked_run import lock_run
from broker.jobs.tables import Job, Run
from broker.ledger import service as ledger
from broker.ledger.holding.holds import HoldView
from broker.metering.events.model import UsageCloudEvent
from broker.metering.service import take_usage
from broker.persistence.driver import run_together
from broker.reports.verify import verify_ledger
from broker.system import System
from broker.work import Work
from pricing.grants import GrantKind
from pricing.usage import Usage
from tests.broker.estimates import make_estimate
from tests.broker.factories import Customer, usage_event
from tests.broker.pools import register_pool

HOUR = 3600
# So many that any usage fits into no time: a test of the books need not let hours pass to have them used.
ENOUGH_DEVICES = 10**9


@dataclass
class RunningJob:
    """A job with one run that may report. `sequence` is the next interval's, which begins at `used_until` or later."""

    id: str
    run_id: str
    contract_id: str
    used_until: datetime
    sequence: int = 0


async def start_job(
    system: System,
    customer: Customer,
    *,
    gpu_seconds: int = HOUR,
    tokens: int = 1000,
    gpus: int = 1,
    run_gpus: int = ENOUGH_DEVICES,
    key: str | None = None,
    gpu_type: str | None = None,
    **fields: Any,
) -> RunningJob:
    """Place a hold of just this size and put its job into the state of one that runs, on devices of a type."""
    async with system.work() as work:
        job_id, contract_id = work.new_id("job"), customer.contract["id"]
        origin = {"project_id": fields.get("project_id"), "gpu_type": "cpu"}
        await place_hold(work, contract_id, job_id, gpu_seconds=gpu_seconds, tokens=tokens, key=key, **origin)
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=1)
        work.session.add(_job_row(work, job_id, customer, gpus, fields))
        await work.session.flush()
        run = _run_row(work, job_id, customer.id, run_gpus)
        run.gpu_type = gpu_type
        work.session.add(run)
        return RunningJob(job_id, run.id, contract_id, work.now)


async def place_hold(
    work: Work,
    contract_id: str,
    job_id: str,
    *,
    gpu_seconds: int,
    tokens: int,
    key: str | None = None,
    **origin: str | None,
) -> HoldView:
    """Place a hold of just this size, as admission places those of a batch; one with a key that was used stays."""
    terms = await contracts.lock_contract(work, contract_id)
    places, name = [Place(terms.customer_id, contract_id)], key or job_id
    need = ledger.HoldNeed(Usage(gpu_seconds, tokens), **origin)
    await work.session.flush()
    commands = [*lock_candidates(places, work.now), *ledger.read_holds(places, [name], work.now)]
    locked, grants, *found = await run_together(work.connection, commands)
    snapshot = await ledger.read_snapshot(work, await read_candidates(work, locked, grants), found, work.now)
    books, earlier = snapshot.books[contract_id], snapshot.earlier.get((contract_id, name))
    if earlier is None:
        new = ledger.NewHold(job_id, name, need, books.reserves.plan_hold(need, work.now))
        await run_together(work.connection, ledger.write_holds(work.services, [(books, new)]))
    return await ledger.get_hold(work, earlier or job_id)


def _job_row(work: Work, job_id: str, customer: Customer, gpus: int, fields: dict[str, Any]) -> Job:
    values = {
        "config": {},
        "labels": {},
        "estimate": make_estimate(),
        "queue": "standard",
        "status": "running",
        "used_gpu_seconds": 0,
        "used_tokens": 0,
        "cost_micros": 0,
        "borne_micros": 0,
        "attempts": 1,
        **fields,
    }
    return Job(
        id=job_id,
        customer_id=customer.id,
        contract_id=customer.contract["id"],
        dataset_id=customer.dataset["id"],
        gpus=gpus,
        created_at=work.now,
        **values,
    )


def _run_row(work: Work, job_id: str, customer_id: str, gpus: int) -> Run:
    return Run(
        id=work.new_id("run"),
        customer_id=customer_id,
        job_id=job_id,
        attempt=1,
        pool="test",
        gpus=gpus,
        status="running",
        used_gpu_seconds=0,
        used_tokens=0,
        acknowledged_sequence=-1,
        lease_expires_at=work.now,
        claimed_at=work.now - timedelta(seconds=1),
        created_at=work.now,
    )


async def report_usage(
    system: System, job: RunningJob, *, gpu_seconds: int = 0, tokens: int = 0, ended_at: datetime | None = None
) -> None:
    """One more interval of the job's run, metered and captured; it ends now unless told otherwise."""
    async with system.work() as work:
        ended = ended_at or work.now
        event = usage_event(
            job.run_id,
            job.sequence,
            gpu_seconds=gpu_seconds,
            tokens=tokens,
            started_at=ended,
            ended_at=ended,
        )
        locked = await lock_run(work, job.run_id, fence_token=1)
        taken = await take_usage(work, locked, [UsageCloudEvent.model_validate(event)])
        assert taken.quarantined == {}
    job.sequence += 1
    job.used_until = ended


async def settle(system: System, job: RunningJob) -> HoldView:
    """Let the job succeed and settle its hold."""
    async with system.work() as work:
        row = await work.session.get_one(Job, job.id)
        row.status = "succeeded"
        return await ledger.settle_hold(work, job.id)


async def read_hold(system: System, job_id: str) -> HoldView:
    async with system.work() as work:
        return await ledger.get_hold(work, job_id)


async def read_balance(system: System, contract_id: str) -> ledger.Balance:
    async with system.work() as work:
        return await ledger.read_contract_balance(work, contract_id)


async def is_exhausted(system: System, job: RunningJob) -> bool:
    async with system.work() as work:
        row = await work.session.get_one(Job, job.id)
        return await ledger.find_shortage(work, await ledger.get_hold(work, job.id), promise=row.promise) is not None


async def broken_rules(system: System) -> dict[str, list[str]]:
    """List what `broker ledger verify` finds broken: nothing, where all is well."""
    async with system.work() as work:
        return {result.rule: result.broken for result in await verify_ledger(work.session) if result.broken}


async def add_grant(system: System, contract_id: str, gpu_seconds: int, **fields: Any) -> str:
    """Add a further block of hours of just this size, an advance that is paid and credited unless told otherwise."""
    async with system.work() as work:
        terms = await contracts.lock_contract(work, contract_id)
        price = terms.prices_at(work.now).per_gpu_hour
        values = {"kind": GrantKind.BOUGHT, "unit_price": price, "advance": True, **fields}
        grant = await contracts.create_grant(work, terms, NewGrant(quantity=gpu_seconds, **values))
        await ledger.credit_grant(work, grant.id)
        return grant.id
