"""The sweep: states are decided anew, then what follows from them is done, each in a transaction of its own.

Every step asks the database what is left to do, so that a sweep which was killed is finished by the next one.
"""

from broker.arrears.deletion import clear_contract, list_uncleared
from broker.arrears.paying import list_payable_by_credit, pay_by_credit
from broker.arrears.service import list_to_refresh, refresh
from broker.jobs.running.arrears import (
    list_jobs_in_arrears,
    list_jobs_to_resume,
    resume_after_arrears,
    stop_in_arrears,
)
from broker.persistence.faults import Fault, find_fault
from broker.system import System


async def sweep_states(system: System) -> None:
    """Decide anew how those contracts stand whose state is not what the facts say any more.

    What is overdue is paid by credit that has come since.
    """
    async with system.work() as work:
        stale = await list_to_refresh(work)
    await system.work_on(stale, refresh)
    async with system.work() as work:
        payable = await list_payable_by_credit(work)
    await system.work_on(payable, pay_by_credit)


async def sweep_jobs(system: System) -> None:
    """Pause what nobody has paid for, and let go on what was paused for arrears that are settled."""
    async with system.work() as work:
        beyond = await list_jobs_in_arrears(work)
    await system.work_on(beyond, stop_in_arrears)
    async with system.work() as work:
        settled = await list_jobs_to_resume(work)
    await system.work_on(settled, resume_after_arrears)


async def sweep_closed(system: System) -> None:
    """Delete what was announced to be deleted of contracts that were closed; one that fails keeps no other back.

    Raises: sqlalchemy.exc.OperationalError, where the database is away.
    """
    async with system.work() as work:
        closed = await list_uncleared(work)
    for contract_id in closed:
        what = f"clearing of contract {contract_id}"
        try:
            await clear_contract(system, contract_id)
        except Exception as error:
            if find_fault(error) == Fault.AWAY:
                raise
            system.services.note_failure(what, error)
        else:
            system.services.failures.settle(what)


async def sweep(system: System) -> None:
    """Sweep all of it."""
    await sweep_states(system)
    await sweep_jobs(system)
    await sweep_closed(system)
