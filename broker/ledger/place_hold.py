"""A hold of its own, placed as those of a batch are."""

from broker.contracts.candidates import lock_candidates, read_candidates
from broker.contracts.model import ContractTerms
from broker.ledger.hold_batches import NewHold, read_holds, read_snapshot, write_holds
from broker.ledger.hold_legs import HoldView
from broker.ledger.holds import get_hold
from broker.ledger.reserves import HoldNeed
from broker.persistence.driver import run_together
from broker.work import Work


async def place_hold(
    work: Work, terms: ContractTerms, *, job_id: str, idempotency_key: str, need: HoldNeed
) -> HoldView:
    """Reserve a job's GPU-seconds, tokens and money under a contract, or nothing at all.

    A key that was used before answers with the hold as it was split then, whatever the balance is by now.
    Raises: NoContractInForce, InsufficientBalance, BudgetExceeded.
    """
    await work.session.flush()
    place = (terms.customer_id, terms.id)
    commands = [*lock_candidates(*place, work.now), *read_holds(*place, [idempotency_key], work.now)]
    contracts, grants, *found = await run_together(work.connection, commands)
    snapshot = await read_snapshot(work, await read_candidates(work, contracts, grants), found, work.now)
    books = snapshot.books[terms.id]
    earlier = snapshot.earlier.get((terms.id, idempotency_key))
    if earlier is None:
        new = NewHold(job_id, idempotency_key, need, books.reserves.plan_hold(need, work.now))
        await run_together(work.connection, write_holds(work, books, [new]))
    return await get_hold(work, earlier or job_id)
