"""What the sweep of ended grants gives as compensations without waiting for jobs to end, and carries on."""

from sqlalchemy import select

from broker.contracts import service as contracts
from broker.ledger.books.model import AccountKind, HoldState
from broker.ledger.grants.leg_uses import read_held_again
from broker.ledger.holding.hold_legs import release_legs
from broker.ledger.holding.holds import lock_hold
from broker.ledger.tables import Account, Hold, HoldLeg
from broker.work import Work

OPEN = HoldLeg.held - HoldLeg.captured - HoldLeg.released


async def list_holds_to_compensate(work: Work) -> list[str]:
    """List the jobs whose live holds have lost work again of a grant that has ended."""
    query = (
        select(HoldLeg, Hold.job_id)
        .join(Hold, Hold.id == HoldLeg.hold_id)
        .where(Hold.state == HoldState.PLACED.value, HoldLeg.grant_id.in_(contracts.select_ended_grants()), OPEN > 0)
    )
    found = [(leg, job_id) for leg, job_id in await work.session.execute(query)]
    held_again = await read_held_again(work, [leg.id for leg, _job_id in found])
    due = [job_id for leg, job_id in found if held_again.get(leg.id, 0) > leg.compensated]
    return list(dict.fromkeys(due))


async def compensate_hold(work: Work, job_id: str) -> None:
    """Let the hold of a job go what it has of lost work of grants that are over: it is a compensation from now on.

    The rest stays held: it pays for usage from before the grants' end that is reported late.
    """
    view = await lock_hold(work, job_id)
    over = await view.books.list_over()
    legs = [leg for leg in view.legs if leg.grant_id in over]
    held_again = await read_held_again(work, [leg.id for leg in legs])
    due = [
        (leg, max(0, min(leg.held - leg.captured - leg.released, held_again.get(leg.id, 0) - leg.compensated)))
        for leg in legs
    ]
    await release_legs(work, view, due, kind="hold_adjusted")


async def list_stranded_compensations(work: Work) -> list[str]:
    """List the compensations that have something left and outlast their contract, where another may have it."""
    query = select(Account.grant_id).where(
        Account.kind == AccountKind.GRANTED.value,
        Account.balance > 0,
        Account.grant_id.in_(contracts.select_stranded_compensations(work.now)),
    )
    return [grant_id for grant_id in await work.session.scalars(query) if grant_id is not None]
