"""Holds: placed for a job, kept alive while it lives, settled when it ends or expired when nothing renews them.

Locks are taken in one order everywhere: job, hold, contract. What a lock guards is read only after it is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from broker import errors
from broker.clock import billing_month
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms
from broker.ledger import accounts
from broker.ledger.legs import NewLeg, plan_gpu_legs, plan_money_legs, plan_token_legs
from broker.ledger.model import (
    AccountKind,
    HoldState,
    LegState,
    OnShortfall,
    Posting,
    compute_captured_micros,
    compute_hold_micros,
    move,
)
from broker.ledger.tables import Hold, HoldLeg
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit, Usage


@dataclass(frozen=True)
class HoldView:
    """A hold, its legs in the order in which they pay, and the terms of its contract."""

    terms: ContractTerms
    hold: Hold
    legs: list[HoldLeg]

    def states(self) -> list[LegState]:
        return [to_state(leg) for leg in self.legs]

    def cost_so_far(self) -> Money:
        """Price the customer's usage captured so far, paid by an advance or not."""
        return Money(compute_captured_micros(self.states()))

    def borne_so_far(self) -> Money:
        """Price what the house has borne so far, at the same prices."""
        return Money(compute_captured_micros(self.states(), borne=True))


def to_state(leg: HoldLeg) -> LegState:
    return LegState(
        unit=Unit(leg.unit),
        unit_price=leg.unit_price,
        billable=leg.billable,
        held=leg.held,
        captured=leg.captured,
        released=leg.released,
        month=leg.month,
        borne=leg.borne,
    )


async def place_hold(work: Work, terms: ContractTerms, *, job_id: str, idempotency_key: str, need: Usage) -> HoldView:
    """Reserve a job's GPU-seconds, tokens and money under a locked contract, or nothing at all.

    A key that was used before answers with the hold as it was split then, whatever the balance is by now.
    Raises: NoContractInForce, InsufficientBalance, BudgetExceeded.
    """
    earlier = await _find_by_key(work, terms, idempotency_key)
    if earlier is not None:
        return earlier
    if not terms.covers(work.now):
        raise errors.NoContractInForce(f"Contract {terms.id} is not in force now.", contract_id=terms.id)
    month = billing_month(work.now, terms.time_zone)
    legs = await plan_gpu_legs(work, terms, need.gpu_seconds, OnShortfall.REFUSE)
    legs += plan_token_legs(work, terms, need.tokens)
    micros = compute_hold_micros([leg.as_state() for leg in legs])
    legs += await plan_money_legs(work, terms, month, micros, OnShortfall.REFUSE)
    hold = await _open_hold(work, terms, job_id, idempotency_key, month)
    view = HoldView(terms, hold, [])
    await add_legs(work, view, legs, kind="hold_placed")
    return view


async def _open_hold(work: Work, terms: ContractTerms, job_id: str, idempotency_key: str, month: str) -> Hold:
    hold = Hold(
        id=work.new_id("hol"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        job_id=job_id,
        idempotency_key=idempotency_key,
        month=month,
        state=HoldState.PLACED.value,
        expires_at=compute_expiry(work),
        created_at=work.now,
    )
    work.session.add(hold)
    await work.session.flush()
    return hold


def compute_expiry(work: Work) -> datetime:
    """Compute when a hold that is placed or renewed now expires, where nothing renews it."""
    return work.now + timedelta(seconds=work.settings.hold_seconds)


async def add_legs(work: Work, view: HoldView, legs: Sequence[NewLeg], *, kind: str) -> None:
    """Hold more for a job: the new legs pay after those that it has."""
    hold = view.hold
    postings: list[Posting] = []
    for leg in legs:
        source_id = await _open_source(work, view.terms, leg)
        row = _leg_row(work, hold, leg, source_id, position=len(view.legs))
        work.session.add(row)
        view.legs.append(row)
        held_id = await open_own(work, hold, leg.unit, AccountKind.HELD)
        postings += move(source_id, held_id, leg.unit, leg.quantity)
    await work.session.flush()
    await post_for_job(work, hold, kind, postings)


async def _open_source(work: Work, terms: ContractTerms, leg: NewLeg) -> str:
    if leg.source == AccountKind.BUDGET:
        assert leg.month is not None, "a budget is of a month"
        budget = terms.monthly_budget_micros
        return await accounts.open_budget(work, terms.id, terms.customer_id, leg.month, budget)
    unit, kind = leg.unit, leg.source
    return await accounts.open_account(work, terms.id, terms.customer_id, unit, kind, grant_id=leg.grant_id)


def _leg_row(work: Work, hold: Hold, leg: NewLeg, source_id: str, *, position: int) -> HoldLeg:
    return HoldLeg(
        id=work.new_id("leg"),
        customer_id=hold.customer_id,
        hold_id=hold.id,
        position=position,
        unit=leg.unit.value,
        account_id=source_id,
        grant_id=leg.grant_id,
        unit_price=leg.unit_price,
        month=leg.month,
        borne=leg.borne,
        billable=leg.billable,
        held=leg.quantity,
        captured=0,
        released=0,
    )


async def open_own(work: Work, hold: Hold, unit: Unit, kind: AccountKind) -> str:
    return await accounts.open_account(work, hold.contract_id, hold.customer_id, unit, kind)


async def post_for_job(work: Work, hold: Hold, kind: str, postings: Sequence[Posting]) -> None:
    """Post a transfer between a hold and its sources; it refers to the hold's job."""
    await accounts.post_transfer(
        work, hold.contract_id, hold.customer_id, kind, postings, hold_id=hold.id, reference=hold.job_id
    )


async def _find_by_key(work: Work, terms: ContractTerms, idempotency_key: str) -> HoldView | None:
    query = select(Hold).where(Hold.contract_id == terms.id, Hold.idempotency_key == idempotency_key)
    hold = (await work.session.scalars(query)).one_or_none()
    return None if hold is None else HoldView(terms, hold, await _list_legs(work, hold))


async def get_hold(work: Work, job_id: str) -> HoldView:
    """Get the hold of a job. Raises: NotFound."""
    hold = (await work.session.scalars(select(Hold).where(Hold.job_id == job_id))).one_or_none()
    if hold is None:
        raise errors.NotFound("hold of job", job_id)
    terms = await contracts.get_contract(work, hold.contract_id)
    return HoldView(terms, hold, await _list_legs(work, hold))


async def lock_hold(work: Work, job_id: str) -> HoldView:
    """Lock the hold of a job and its contract, and read both as they are under the locks. Raises: NotFound."""
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
    return HoldView(terms, hold, await _list_legs(work, hold))


async def _list_legs(work: Work, hold: Hold) -> list[HoldLeg]:
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
    month = billing_month(work.now, terms.time_zone)
    if renewed.month < month:
        await roll_hold(work, await lock_hold(work, job_id), month)


async def renew_locked_hold(work: Work, view: HoldView) -> None:
    """Renew a hold that is locked already; one that has ended stays so."""
    if view.hold.state != HoldState.PLACED:
        return
    view.hold.expires_at = compute_expiry(work)
    await roll_hold(work, view, billing_month(work.now, view.terms.time_zone))


async def roll_hold(work: Work, view: HoldView, month: str) -> None:
    """Move the money still held from an earlier month's budget to that of `month`, as far as that one reaches."""
    if view.hold.month >= month:
        return
    view.hold.month = month
    earlier = [leg for leg in view.legs if leg.month is not None and leg.month < month]
    open_money = list_open(earlier)
    rest = sum(quantity for _leg, quantity in open_money)
    await release_legs(work, view.hold, open_money, kind="hold_rolled")
    legs = await plan_money_legs(work, view.terms, month, rest, OnShortfall.LEAVE)
    await add_legs(work, view, legs, kind="hold_rolled")


def list_open(legs: Sequence[HoldLeg]) -> list[tuple[HoldLeg, int]]:
    """List legs with what is still open of each."""
    return [(leg, to_state(leg).open_quantity) for leg in legs]


async def release_legs(work: Work, hold: Hold, quantities: Sequence[tuple[HoldLeg, int]], *, kind: str) -> None:
    """Release these quantities of the legs to the accounts that they came from."""
    postings: list[Posting] = []
    for leg, quantity in quantities:
        unit = Unit(leg.unit)
        leg.released += quantity
        postings += move(await open_own(work, hold, unit, AccountKind.HELD), leg.account_id, unit, quantity)
    await post_for_job(work, hold, kind, postings)


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
    await release_legs(work, view.hold, list_open(view.legs), kind=f"hold_{state.value}")
