"""Holds: placed for a job, kept alive while it lives, settled when it ends or expired when nothing renews them.

Locks are taken in one order everywhere: job, hold, contract. What a lock guards is read only after it is taken.
"""

from datetime import datetime, timedelta

from sqlalchemy import select, update

from broker import errors
from broker.contracts import service as contracts
from broker.ledger.hold_legs import HoldView, add_legs, list_open, release_legs
from broker.ledger.legs import plan_money_within
from broker.ledger.model import HoldState
from broker.ledger.tables import Hold, HoldLeg
from broker.work import Work


def compute_expiry(work: Work) -> datetime:
    """Compute when a hold that is placed or renewed now expires, where nothing renews it."""
    return work.now + timedelta(seconds=work.settings.hold_seconds)


async def get_hold(work: Work, job_id: str) -> HoldView:
    """Get the hold of a job. Raises: NotFound."""
    hold = (await work.session.scalars(select(Hold).where(Hold.job_id == job_id))).one_or_none()
    if hold is None:
        raise errors.NotFound("hold of job", job_id)
    terms = await contracts.get_contract(work, hold.contract_id)
    return HoldView(terms, hold, await list_legs(work, hold))


async def lock_hold(work: Work, job_id: str, *, run_gpu_type: str | None = None) -> HoldView:
    """Lock the hold of a job and its contract, and read both as they are under the locks.

    `run_gpu_type` is the type of the run whose usage is to be charged. Raises: NotFound.
    """
    query = (
        select(Hold)
        .where(Hold.job_id == job_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    hold = (await work.session.scalars(query)).one_or_none()
    if hold is None:
        raise errors.NotFound("hold of job", job_id)
    terms = await contracts.lock_contract(work, hold.contract_id)
    return HoldView(terms, hold, await list_legs(work, hold), run_gpu_type=run_gpu_type)


async def list_legs(work: Work, hold: Hold) -> list[HoldLeg]:
    """List the legs of a hold in the order in which they pay, as the database has them now."""
    query = (
        select(HoldLeg)
        .where(HoldLeg.hold_id == hold.id)
        .order_by(HoldLeg.position)
        .execution_options(populate_existing=True)
    )
    return list((await work.session.scalars(query)).all())


async def renew_hold(work: Work, job_id: str) -> None:
    """Renew a live job's hold for another `hold_seconds`; in a new month its money comes from that month's budget."""
    renewal = (
        update(Hold)
        .where(Hold.job_id == job_id, Hold.state == HoldState.PLACED.value)
        .values(expires_at=compute_expiry(work))
        .returning(Hold.contract_id, Hold.month)
    )
    renewed = (await work.session.execute(renewal)).one_or_none()
    if renewed is None:
        return
    terms = await contracts.get_contract(work, renewed.contract_id)
    month = terms.billing_month(work.now)
    if renewed.month < month:
        await roll_hold(work, await lock_hold(work, job_id), month)


async def renew_locked_hold(work: Work, view: HoldView) -> None:
    """Renew a hold that is locked already; one that has ended stays so."""
    if view.hold.state != HoldState.PLACED:
        return
    view.hold.expires_at = compute_expiry(work)
    await roll_hold(work, view, view.terms.billing_month(work.now))


async def roll_hold(work: Work, view: HoldView, month: str) -> None:
    """Move the money still held from an earlier month's budget to that of `month`, as far as that one reaches."""
    if view.hold.month >= month:
        return
    view.hold.month = month
    earlier = [leg for leg in view.legs if leg.month is not None and leg.month < month]
    open_money = list_open(earlier)
    rest = sum(quantity for _leg, quantity in open_money)
    await release_legs(work, view, open_money, kind="hold_rolled")
    legs = await plan_money_within(work, view.terms, month, rest)
    await add_legs(work, view, legs, kind="hold_rolled")


async def list_holds_due_for_renewal(work: Work) -> list[str]:
    """List jobs whose placed hold has used up half of its life, whether or not it is over."""
    half = work.now + timedelta(seconds=work.settings.hold_seconds / 2)
    query = select(Hold.job_id).where(Hold.state == HoldState.PLACED.value, Hold.expires_at < half)
    return list((await work.session.scalars(query)).all())


async def list_expired_holds(work: Work) -> list[str]:
    """List jobs whose placed hold nothing has renewed in time."""
    query = select(Hold.job_id).where(Hold.state == HoldState.PLACED.value, Hold.expires_at <= work.now)
    return list((await work.session.scalars(query)).all())


async def settle_hold(work: Work, job_id: str) -> HoldView:
    """Settle the hold of a job that has ended: what was not captured goes back where it came from.

    Settling it twice changes nothing.
    """
    view = await lock_hold(work, job_id)
    await _end_hold(work, view, HoldState.SETTLED)
    return view


async def expire_hold(work: Work, job_id: str) -> HoldView:
    """End a hold that nothing renews any more; one that was renewed meanwhile stays."""
    view = await lock_hold(work, job_id)
    if view.hold.expires_at <= work.now:
        await _end_hold(work, view, HoldState.EXPIRED)
    return view


async def _end_hold(work: Work, view: HoldView, state: HoldState) -> None:
    if view.hold.state != HoldState.PLACED:
        return
    view.hold.state, view.hold.ended_at = state.value, work.now
    await release_legs(work, view, list_open(view.legs), kind=f"hold_{state.value}")
