"""Holds: placed for a job, kept alive while it lives, settled when it ends or expired when nothing renews them.

Locks are taken in one order everywhere: job, hold, contract. What a lock guards is read only after it is taken.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, DateTime, Text, any_, bindparam, literal, select, update

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.accounts import NewTransfer
from broker.ledger.books.model import HoldState
from broker.ledger.holding.charge_books import ChargeBooks
from broker.ledger.holding.hold_legs import (
    HoldView,
    add_legs,
    list_of_ended_grants,
    list_open,
    release_legs,
    return_legs,
)
from broker.ledger.holding.legs import plan_money_leg
from broker.ledger.tables import Hold, HoldLeg
from broker.persistence.driver import Command, Query, Statement
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Services, Work, list_seen, run_for_all

# So often a hold is renewed in its life at most: each time its row is written anew into all of its indexes.
RENEWALS = 10
# No place on earth is further ahead of UTC.
FURTHEST_AHEAD = timedelta(hours=14)
THEIRS = (
    Hold.job_id == any_(bindparam("job_ids", type_=ARRAY(Text))),
    Hold.state == HoldState.PLACED.value,
    is_seen(Hold.customer_id),
)
RENEW = Statement(
    update(Hold)
    .where(*THEIRS, Hold.expires_at <= bindparam("renewed_since", type_=DateTime(timezone=True)))
    .values(expires_at=bindparam("expiry", type_=DateTime(timezone=True)))
)
OF_EARLIER_MONTHS = Query(
    select(Hold.customer_id, Hold.job_id, Hold.contract_id, Hold.month).where(
        *THEIRS, Hold.month < bindparam("month", type_=Text)
    )
)


def compute_expiry(services: Services) -> datetime:
    """Compute when a hold that is placed or renewed now expires, where nothing renews it."""
    return services.now + timedelta(seconds=services.settings.hold_seconds)


async def get_hold(work: Work, job_id: str) -> HoldView:
    """Get the hold of a job. Raises: NotFound."""
    hold = (await work.session.scalars(select(Hold).where(Hold.job_id == job_id))).one_or_none()
    if hold is None:
        raise errors.NotFound("hold of job", job_id)
    return await view_hold(work, await contracts.get_contract(work, hold.contract_id), hold)


async def view_hold(work: Work, terms: ContractTerms, hold: Hold) -> HoldView:
    """View a hold with its legs, in the order in which they pay, as the database has them now."""
    return HoldView(terms, hold, (await _list_legs(work, [hold]))[hold.id], ChargeBooks(work, terms))


async def lock_hold(work: Work, job_id: str) -> HoldView:
    """Lock the hold of a job and its contract, and read both as they are under the locks. Raises: NotFound."""
    return (await lock_holds(work, {job_id: None}))[job_id]


async def lock_holds(work: Work, run_gpu_types: Mapping[str, str | None]) -> dict[str, HoldView]:
    """Lock the holds of jobs and then their contracts, each in the order of their ids; holds of a contract share books.

    `run_gpu_types` are, by job, the types of the runs whose usage is to be charged; None: that which was quoted.
    Returns the holds by job, as they are under the locks. Raises: NotFound.
    """
    holds = await lock_hold_rows(work, run_gpu_types)
    for job_id in run_gpu_types:
        if job_id not in holds:
            raise errors.NotFound("hold of job", job_id)
    locked = await contracts.lock_contracts(work, {hold.contract_id for hold in holds.values()})
    books = {contract_id: ChargeBooks(work, terms) for contract_id, terms in locked.items()}
    legs = await _list_legs(work, holds.values())
    return {
        job_id: HoldView(own.terms, hold, legs[hold.id], own, run_gpu_types[job_id])
        for job_id, hold in holds.items()
        for own in [books[hold.contract_id]]
    }


async def lock_hold_rows(work: Work, job_ids: Collection[str]) -> dict[str, Hold]:
    """Lock the holds of jobs, as far as they have any, in the order of their ids, and no contract yet."""
    query = (
        select(Hold)
        .where(Hold.job_id.in_(job_ids))
        .order_by(Hold.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {hold.job_id: hold for hold in await work.session.scalars(query)}


async def _list_legs(work: Work, holds: Collection[Hold]) -> dict[str, list[HoldLeg]]:
    """List the legs of holds, by hold."""
    query = (
        select(HoldLeg)
        .where(HoldLeg.hold_id.in_([hold.id for hold in holds]))
        .order_by(HoldLeg.position)
        .execution_options(populate_existing=True)
    )
    legs: dict[str, list[HoldLeg]] = {hold.id: [] for hold in holds}
    for leg in await work.session.scalars(query):
        legs[leg.hold_id].append(leg)
    return legs


async def renew_holds(work: Work, job_ids: Collection[str]) -> None:
    """Renew live jobs' holds for another `hold_seconds`; in a new month their money comes from that month's budget.

    No contract is locked before. A hold of which little is used is not written.
    """
    await _roll_all(work, await _renew([work], job_ids))


async def renew_all_holds(works: Mapping[str, Work], job_ids: Collection[str]) -> None:
    """Renew as `renew_holds` does holds of several customers, whose units of work are in one transaction."""
    earlier = await _renew(works.values(), job_ids)
    for customer_id in sorted({hold.customer_id for hold in earlier}):
        await _roll_all(works[customer_id], [hold for hold in earlier if hold.customer_id == customer_id])


async def _renew(works: Collection[Work], job_ids: Collection[str]) -> list[Any]:
    """Renew holds; returns those whose money may be an earlier month's: no contract's month is ahead of all clocks."""
    first = next(iter(works))
    expiry = compute_expiry(first.services)
    used = timedelta(seconds=first.settings.hold_seconds) / RENEWALS
    asked = {
        "job_ids": list(job_ids),
        SEEN_BY.key: list_seen(works),
        "expiry": expiry,
        "renewed_since": expiry - used,
        "month": f"{first.now + FURTHEST_AHEAD:%Y-%m}",
    }
    (found,) = await run_for_all(works, [Command(RENEW, asked), Command(OF_EARLIER_MONTHS, asked)])
    return [OF_EARLIER_MONTHS.row(*row) for row in found]


async def _roll_all(work: Work, holds: Collection[Any]) -> None:
    """Move the money of those of some holds whose month is over for their contract."""
    months = await _list_months(work, {hold.contract_id for hold in holds})
    due = [hold.job_id for hold in holds if hold.month < months[hold.contract_id]]
    if due:
        for view in (await lock_holds(work, dict.fromkeys(due))).values():
            await roll_hold(work, view, months[view.terms.id])


async def extend_holds(work: Work, job_ids: Collection[str]) -> list[str]:
    """Renew live jobs' holds in one statement; returns the jobs whose money is still an earlier month's.

    Those have to be renewed one by one (`renew_holds`). One that is locked elsewhere is left for the next time.
    """
    ids = literal(list(job_ids), ARRAY(Text))  # one parameter: a statement has at most 65,535
    free = (
        select(Hold.id)
        .where(Hold.job_id == any_(ids), Hold.state == HoldState.PLACED.value)
        .order_by(Hold.id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    renewal = (
        update(Hold)
        .where(Hold.id.in_(free))
        .values(expires_at=compute_expiry(work.services))
        .returning(Hold.job_id, Hold.contract_id, Hold.month)
    )
    renewed = (await work.session.execute(renewal)).all()
    months = await _list_months(work, {each.contract_id for each in renewed})
    return [each.job_id for each in renewed if each.month < months[each.contract_id]]


async def _list_months(work: Work, contract_ids: Collection[str]) -> dict[str, str]:
    """List the billing months that it is now for contracts."""
    terms = await contracts.load_terms(work, set(contract_ids)) if contract_ids else {}
    return {contract_id: each.billing_month(work.now) for contract_id, each in terms.items()}


async def renew_locked_hold(work: Work, view: HoldView) -> None:
    """Renew a hold that is locked already, once a part of its life is used; one that has ended stays so."""
    if view.hold.state != HoldState.PLACED:
        return
    renewed = compute_expiry(work.services)
    if renewed - view.hold.expires_at >= timedelta(seconds=work.settings.hold_seconds) / RENEWALS:
        view.hold.expires_at = renewed
    if work.now >= view.terms.month_end(view.hold.month):
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
    budget = view.terms.find_budget(month)
    free = rest if budget is None else await view.books.read_budget_free(month, budget)
    await add_legs(work, view, plan_money_leg(min(free, rest), month), kind="hold_rolled")


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


async def settle_with_charges(work: Work, view: HoldView) -> bool:
    """Settle a locked hold with what was charged to it, which is still to be written.

    Tells whether it could: what comes back of a grant that is over is compensated, and `settle_hold` does that once
    the charges are written.
    """
    still_open = list_open(view.legs)
    if view.hold.state != HoldState.PLACED:
        return True
    if await list_of_ended_grants(view, still_open):
        return False
    view.hold.state, view.hold.ended_at = HoldState.SETTLED.value, work.now
    moves = await return_legs(view, still_open)
    view.books.charge(NewTransfer("hold_settled", moves, hold_id=view.hold.id, reference=view.hold.job_id), ())
    return True


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
