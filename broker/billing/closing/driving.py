"""Taking closings on until they end: in batches, and contract by contract where a batch fails, so that one is named."""

import logging
from collections.abc import Sequence

from broker.billing.closing.model import Check
from broker.billing.closing.runs import BATCH, list_running, refuse_next, take_step
from broker.errors import DomainError
from broker.persistence.faults import Fault, find_fault
from broker.system import System

log = logging.getLogger(__name__)


async def run_closings(system: System, checks: Sequence[Check], *, size: int = BATCH) -> None:
    """Take every closing that is running on until it ends; one that another process is at is left to that.

    Raises: what kept closings from ending, once the others have been taken on.
    """
    async with system.work() as work:
        running = await list_running(work)
    failed: list[Exception] = []
    for closing_id in running:
        try:
            while await _go_on(system, closing_id, checks, size):
                pass
        except Exception as error:
            if find_fault(error) == Fault.AWAY:
                raise
            failed.append(error)
    if failed:
        raise ExceptionGroup("closings cannot end", failed)


async def _go_on(system: System, closing_id: str, checks: Sequence[Check], size: int) -> bool:
    try:
        async with system.work() as work:
            return await take_step(work, closing_id, checks, size=size)
    except Exception as error:
        if find_fault(error) == Fault.AWAY:
            raise
        log.warning("a batch of closing %s failed, each of its contracts is tried by itself: %s", closing_id, error)
    for _ in range(size):
        if not await _go_on_by_one(system, closing_id, checks):
            return False
    return True


async def _go_on_by_one(system: System, closing_id: str, checks: Sequence[Check]) -> bool:
    """Take a closing on by one contract, which is refused where it fails. Raises: whatever fails at the very end."""
    try:
        async with system.work() as work:
            return await take_step(work, closing_id, checks, size=1)
    except Exception as error:
        if find_fault(error) == Fault.AWAY:
            raise
        reason = describe_failure(error)
    async with system.work() as work:
        refused = await refuse_next(work, closing_id, reason)
    if not refused:
        raise RuntimeError(f"closing {closing_id} has been through all contracts and cannot end: {reason}")
    return True


def describe_failure(error: Exception) -> str:
    """Describe for finance why a contract could not be closed."""
    if isinstance(error, DomainError):
        return str(error)
    if find_fault(error) == Fault.BUSY:
        return "others are at work on the contract; start the closing again"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no more is known'}"
