"""Closings as they run: started by finance, taken on in steps by whichever process is free, and locked at the end."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.billing.closing.batches import finalize_contracts
from broker.billing.closing.checklist import list_findings
from broker.billing.closing.model import (
    Check,
    ClosingStatus,
    Refusal,
    find_blocking,
    require_acceptable,
    require_nothing_blocks,
)
from broker.billing.closing.tables import Closing
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.persistence.database import wake_dispatcher
from broker.work import Work

# So many contracts are closed in one transaction, which keeps their locks meanwhile.
BATCH = 250


async def start_closing(work: Work, month: str, accepted: Collection[str], checks: Sequence[Check]) -> Closing:
    """Start to close a month; one that is under way goes on as it is.

    Raises: PeriodStillOpen, PeriodClosed; InvalidRequest, for a point that nobody can accept; ClosingBlocked.
    """
    ledger.require_over(work, month)
    if await ledger.find_closed_period(work, month) is not None:
        raise errors.PeriodClosed(f"The books of {month} are closed already.", month=month)
    running = await find_running(work, month)
    if running is not None:
        return running
    findings = await list_findings(work, month, checks)
    require_acceptable(findings, accepted)
    require_nothing_blocks(findings, accepted, month)
    await _write(work, month, accepted)
    await wake_dispatcher(work.session)
    started = await find_running(work, month)
    assert started is not None, "this one, or that of who was quicker"
    return started


async def _write(work: Work, month: str, accepted: Collection[str]) -> None:
    values = {
        "id": work.new_id("clo"),
        "month": month,
        "status": ClosingStatus.RUNNING.value,
        "accepted": sorted(accepted),
        "author": work.actor.id,
        "contracts_total": await contracts.count_contracts(work),
        "contracts_done": 0,
        "invoices_finalized": 0,
        "last_contract_id": "",
        "refused": [],
        "created_at": work.now,
    }
    await work.session.execute(insert(Closing).values(values).on_conflict_do_nothing())


async def find_running(work: Work, month: str) -> Closing | None:
    """Find the closing of a month that is running."""
    query = select(Closing).where(Closing.month == month, Closing.status == ClosingStatus.RUNNING.value)
    return (await work.session.scalars(query)).one_or_none()


async def find_last(work: Work, month: str) -> Closing | None:
    """Find the last closing of a month."""
    query = select(Closing).where(Closing.month == month).order_by(Closing.id.desc()).limit(1)
    return (await work.session.scalars(query)).one_or_none()


async def list_running(work: Work) -> list[str]:
    """List the ids of the closings that are running, the oldest first."""
    query = select(Closing.id).where(Closing.status == ClosingStatus.RUNNING.value).order_by(Closing.id)
    return list(await work.session.scalars(query))


async def take_step(work: Work, closing_id: str, checks: Sequence[Check], *, size: int = BATCH) -> bool:
    """Take a closing on by so many contracts, or end it after the last; tells whether there is more to do.

    Whoever is at it has its row locked: another finds nothing to do, and goes on from there if this one is killed.
    """
    closing = await _lock(work, closing_id)
    if closing is None:
        return False
    batch = await _find_batch(work, closing, size)
    if not batch:
        await _end(work, closing, checks)
        return False
    done = await finalize_contracts(work, batch, closing.month)
    closing.invoices_finalized += done.invoices
    _note(closing, batch, done.refused)
    return True


async def _find_batch(work: Work, closing: Closing, size: int) -> Sequence[str]:
    """Find the next contracts of a closing; none, where it can end: nobody signs one, or books money, until then."""
    batch = await contracts.list_ids_after(work, closing.last_contract_id, size)
    if batch:
        return batch
    await ledger.take_period_turn(work)
    return await contracts.list_ids_after(work, closing.last_contract_id, size)


async def refuse_next(work: Work, closing_id: str, reason: str) -> bool:
    """Pass over the next contract of a closing, which could not be closed: it is named with the reason.

    Tells whether there is such a contract.
    """
    closing = await _lock(work, closing_id)
    batch = [] if closing is None else await contracts.list_ids_after(work, closing.last_contract_id, 1)
    if closing is not None and batch:
        _note(closing, batch, [Refusal(contract_id, None, reason) for contract_id in batch])
    return bool(batch)


async def _lock(work: Work, closing_id: str) -> Closing | None:
    query = select(Closing).where(Closing.id == closing_id, Closing.status == ClosingStatus.RUNNING.value)
    return (await work.session.scalars(query.with_for_update(skip_locked=True))).one_or_none()


def _note(closing: Closing, batch: Sequence[str], refused: Sequence[Refusal]) -> None:
    closing.contracts_done += len(batch)
    closing.last_contract_id = batch[-1]
    closing.refused = [*closing.refused, *(each.to_json() for each in refused)]


async def _end(work: Work, closing: Closing, checks: Sequence[Check]) -> None:
    """End a closing: the period is locked where all is final and nothing has come between, else it is incomplete.

    One whose month a later one has closed meanwhile is closed with it: its list says nothing any more.
    """
    if await ledger.find_closed_period(work, closing.month) is not None:
        closing.ended_at, closing.status = work.now, ClosingStatus.CLOSED.value
        return
    findings = await list_findings(work, closing.month, checks)
    blocking = find_blocking(findings, closing.accepted)
    left = next(each for each in findings if each.name == "drafts")
    for each in [*blocking, left] if left.open else blocking:
        closing.refused = [*closing.refused, {"contract_id": None, "month": closing.month, "reason": each.told}]
    closing.ended_at = work.now
    if closing.refused:
        closing.status = ClosingStatus.INCOMPLETE.value
        return
    await ledger.close_period(work, closing.month, closed_by=closing.author)
    closing.status = ClosingStatus.CLOSED.value
