"""What is deleted of a contract that was closed, each with its record: data sets, adapters, checkpoints.

Invoices, their evidence and the books stay, as the law wants. Data sets are a customer's: they stay as long as another
contract of it lives. Each step is a transaction of its own, may be done again, and finds what a crash has left.
"""

import logging

from sqlalchemy import select

from broker.adapters import service as adapters
from broker.arrears.tables import ArrearsDeletion, ArrearsRecord
from broker.contracts import service as contracts
from broker.contracts.terms.arrears import ArrearsState
from broker.datasets import service as datasets
from broker.identity.service import lock_customer
from broker.jobs.reading.withdrawal import delete_dataset, is_needed
from broker.jobs.running import checkpoints
from broker.jobs.running.arrears import cancel_closed_job, list_live_jobs
from broker.system import System
from broker.work import Work

log = logging.getLogger(__name__)


async def list_uncleared(work: Work) -> list[str]:
    """List the closed contracts of which something may be left that is to be deleted."""
    query = select(ArrearsRecord.contract_id).where(
        ArrearsRecord.state == ArrearsState.CLOSED.value, ArrearsRecord.cleared_at.is_(None)
    )
    return list(await work.session.scalars(query.order_by(ArrearsRecord.contract_id)))


async def clear_contract(system: System, contract_id: str) -> None:
    """Delete what was announced to be deleted of a closed contract, once its jobs are over."""
    async with system.work() as work:
        live = await list_live_jobs(work, contract_id)
    await system.work_on(live, cancel_closed_job)
    async with system.work() as work:
        if await list_live_jobs(work, contract_id):
            return  # what runs ends with its next heartbeat; the next sweep goes on
        record = await _lock_record(work, contract_id)
        await _delete_made(work, record)
        kept = await _list_datasets(work, record.customer_id)
    for dataset_id, size_bytes in kept:
        async with system.work() as work:
            await _delete_dataset(work, contract_id, dataset_id, size_bytes)
    async with system.work() as work:
        record = await _lock_record(work, contract_id)
        if not await _list_datasets(work, record.customer_id):
            record.cleared_at = work.now
            log.info("what was kept of closed contract %s is deleted", contract_id)


async def _lock_record(work: Work, contract_id: str) -> ArrearsRecord:
    await contracts.lock_contract(work, contract_id)
    return await _get_record(work, contract_id)


async def _get_record(work: Work, contract_id: str) -> ArrearsRecord:
    query = select(ArrearsRecord).where(ArrearsRecord.contract_id == contract_id)
    return (await work.session.scalars(query.execution_options(populate_existing=True))).one()


async def _delete_made(work: Work, record: ArrearsRecord) -> None:
    """Delete what the contract's jobs have made: their adapters and checkpoints."""
    for adapter_id, size_bytes in await adapters.delete_of_contract(work, record.contract_id):
        _record(work, record, "adapter", adapter_id, size_bytes)
    for checkpoint_id, size_bytes in await checkpoints.delete_of_contract(work, record.contract_id):
        _record(work, record, "checkpoint", checkpoint_id, size_bytes)
    await work.session.flush()


async def _list_datasets(work: Work, customer_id: str) -> list[tuple[str, int]]:
    """List the data sets that are to be deleted of a customer: none while a contract of it lives."""
    if await contracts.has_living_contract(work, customer_id):
        return []
    return await datasets.list_kept_of(work, customer_id)


async def _delete_dataset(work: Work, contract_id: str, dataset_id: str, size_bytes: int) -> None:
    """Delete one data set, if its customer has signed nothing new meanwhile and no job needs it."""
    record = await _get_record(work, contract_id)
    await lock_customer(work, record.customer_id)
    if (dataset_id, size_bytes) not in await _list_datasets(work, record.customer_id):
        return
    if not await is_needed(work, dataset_id):
        await delete_dataset(work, dataset_id)
        _record(work, record, "dataset", dataset_id, size_bytes)
        await work.session.flush()


def _record(work: Work, record: ArrearsRecord, kind: str, object_id: str, size_bytes: int) -> None:
    assert record.deletion_on is not None, "nothing is deleted that was not announced"
    deletion = ArrearsDeletion(
        id=work.new_id("ard"),
        customer_id=record.customer_id,
        contract_id=record.contract_id,
        kind=kind,
        object_id=object_id,
        size_bytes=size_bytes,
        announced_on=record.deletion_on,
        created_at=work.now,
    )
    work.session.add(deletion)
