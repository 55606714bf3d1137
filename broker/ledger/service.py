"""Holds: placed for a job, captured as usage arrives, settled when it ends; and what is left of a contract.

Every function that writes takes the contract's lock first, so the balances of one contract move one at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, update

from broker import errors
from broker.clock import billing_month
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms, Overage
from broker.contracts.tables import Grant
from broker.ledger import accounts
from broker.ledger.model import (
    AccountKind,
    HoldState,
    LegState,
    Posting,
    Unit,
    compute_captured_micros,
    compute_hold_micros,
    move,
    plan_capture,
)
from broker.ledger.tables import Account, Capture, Hold, HoldLeg
from broker.work import Work
from pricing.grants import burn_down
from pricing.money import Money


@dataclass(frozen=True)
class NewLeg:
    """A leg to be held. Units: `quantity` in `unit`; `unit_price` in yuan per GPU-hour or token."""

    unit: Unit
    account_id: str
    quantity: int
    unit_price: Decimal | None
    billable: bool
    grant_id: str | None = None

    def as_state(self) -> LegState:
        return LegState(self.unit, self.unit_price, self.billable, self.quantity, captured=0, released=0)


@dataclass(frozen=True)
class Interval:
    """Usage of one run between two moments: GPU-seconds and tokens."""

    run_id: str
    sequence: int
    gpu_seconds: int
    tokens: int
    ended_at: datetime


@dataclass(frozen=True)
class HoldView:
    """A hold and its legs, in the order in which they pay."""

    hold: Hold
    legs: list[HoldLeg]

    def states(self) -> list[LegState]:
        return [to_state(leg) for leg in self.legs]

    def cost_so_far(self) -> Money:
        """What the usage captured so far costs at its prices, paid ahead or not."""
        return Money(compute_captured_micros(self.states(), billable_only=False))


def to_state(leg: HoldLeg) -> LegState:
    return LegState(Unit(leg.unit), leg.unit_price, leg.billable, leg.held, leg.captured, leg.released)


async def place_hold(
    work: Work, contract_id: str, *, job_id: str, idempotency_key: str, gpu_seconds: int, tokens: int
) -> HoldView:
    """Reserve a job's GPU-seconds, tokens and money, or nothing at all.

    A key that was used before answers with the hold as it was split then, whatever the balance is by now.
    Raises: NotFound, NoContractInForce, InsufficientBalance, BudgetExceeded.
    """
    terms = await contracts.lock_contract(work, contract_id)
    earlier = await _find_by_key(work, contract_id, idempotency_key)
    if earlier is not None:
        return earlier
    if not terms.covers(work.now):
        raise errors.NoContractInForce(f"Contract {contract_id} is not in force now.", contract_id=contract_id)
    month = billing_month(work.now, terms.time_zone)
    legs = await _plan_gpu_legs(work, terms, gpu_seconds, refuse=True)
    legs += await _plan_token_legs(work, terms, tokens)
    legs += await _plan_money_legs(
        work, terms, month, compute_hold_micros([leg.as_state() for leg in legs]), refuse=True
    )
    hold = Hold(
        id=work.new_id("hol"),
        customer_id=terms.customer_id,
        contract_id=contract_id,
        job_id=job_id,
        idempotency_key=idempotency_key,
        month=month,
        state=HoldState.PLACED.value,
        expires_at=work.now + timedelta(seconds=work.settings.hold_seconds),
        created_at=work.now,
    )
    work.session.add(hold)
    await work.session.flush()
    rows = await _add_legs(work, hold, legs, first_position=0, kind="hold_placed")
    return HoldView(hold, rows)


async def _plan_gpu_legs(work: Work, terms: ContractTerms, gpu_seconds: int, *, refuse: bool) -> list[NewLeg]:
    """Burn grants down, then go on at the plan's own price where the contract bills overage.

    With `refuse` off the usage has already happened: it is booked even where the contract would refuse it.
    """
    grants = await contracts.list_grants(work, terms.id)
    balances = await _granted_balances(work, terms.id)
    burnable = [contracts.to_burnable(grant, balances.get(grant.id, 0)) for grant in grants]
    burnt = burn_down(burnable, gpu_seconds, now=work.now)
    if burnt.shortfall_gpu_seconds and refuse and terms.overage == Overage.REFUSE:
        raise _insufficient_balance(gpu_seconds, gpu_seconds - burnt.shortfall_gpu_seconds, grants)
    ahead = {grant.id: grant.bought_ahead for grant in grants}
    legs = []
    for draw in burnt.draws:
        account_id = await accounts.open_account(
            work, terms.id, terms.customer_id, Unit.GPU_SECONDS, AccountKind.GRANTED, grant_id=draw.grant_id
        )
        billable = not ahead[draw.grant_id]
        legs.append(NewLeg(Unit.GPU_SECONDS, account_id, draw.gpu_seconds, draw.unit_price, billable, draw.grant_id))
    if burnt.shortfall_gpu_seconds:
        account_id = await accounts.open_account(
            work, terms.id, terms.customer_id, Unit.GPU_SECONDS, AccountKind.UNCOMMITTED
        )
        legs.append(
            NewLeg(Unit.GPU_SECONDS, account_id, burnt.shortfall_gpu_seconds, terms.gpu_hour_price, billable=True)
        )
    return legs


def _insufficient_balance(needed: int, available: int, grants: Sequence[Grant]) -> errors.InsufficientBalance:
    unpaid = any(grant.activated_at is None for grant in grants)
    cure = "pay the advance invoice" if unpaid else "buy more hours, or choose a smaller job"
    return errors.InsufficientBalance(
        f"The job needs {needed / 3600:.2f} GPU-hours; {available / 3600:.2f} are available: {cure}.",
        needed_gpu_seconds=needed,
        available_gpu_seconds=available,
    )


async def _granted_balances(work: Work, contract_id: str) -> dict[str, int]:
    query = select(Account.grant_id, Account.balance).where(
        Account.contract_id == contract_id, Account.kind == AccountKind.GRANTED.value
    )
    return {grant_id: balance for grant_id, balance in await work.session.execute(query) if grant_id is not None}


async def _plan_token_legs(work: Work, terms: ContractTerms, tokens: int) -> list[NewLeg]:
    if tokens == 0:
        return []
    account_id = await accounts.open_account(work, terms.id, terms.customer_id, Unit.TOKENS, AccountKind.UNCOMMITTED)
    return [NewLeg(Unit.TOKENS, account_id, tokens, terms.token_price, billable=True)]


async def _plan_money_legs(work: Work, terms: ContractTerms, month: str, micros: int, *, refuse: bool) -> list[NewLeg]:
    """Take money from the month's budget; what has already happened beyond it is booked as over budget."""
    if micros == 0:
        return []
    budget_id = await accounts.open_budget(work, terms.id, terms.customer_id, month, terms.monthly_budget_micros)
    left = micros if terms.monthly_budget_micros is None else await accounts.read_balance(work, budget_id)
    if left < micros and refuse:
        needed, available = Money(micros).format_amount(), Money(left).format_amount()
        raise errors.BudgetExceeded(
            f"The job may cost up to {needed}; {available} of {month}'s budget is left: choose a smaller job.",
            needed=needed,
            available=available,
        )
    within = min(max(left, 0), micros)
    legs = [NewLeg(Unit.MICRO_YUAN, budget_id, within, None, billable=False)] if within else []
    if within < micros:
        over_id = await accounts.open_account(
            work, terms.id, terms.customer_id, Unit.MICRO_YUAN, AccountKind.OVER_BUDGET
        )
        legs.append(NewLeg(Unit.MICRO_YUAN, over_id, micros - within, None, billable=False))
    return legs


async def _add_legs(work: Work, hold: Hold, legs: Sequence[NewLeg], *, first_position: int, kind: str) -> list[HoldLeg]:
    rows, postings = [], []
    for position, leg in enumerate(legs, start=first_position):
        row = HoldLeg(
            id=work.new_id("leg"),
            customer_id=hold.customer_id,
            hold_id=hold.id,
            position=position,
            unit=leg.unit.value,
            account_id=leg.account_id,
            grant_id=leg.grant_id,
            unit_price=leg.unit_price,
            billable=leg.billable,
            held=leg.quantity,
            captured=0,
            released=0,
        )
        rows.append(row)
        held_id = await _open(work, hold, leg.unit, AccountKind.HELD)
        postings += move(leg.account_id, held_id, leg.unit, leg.quantity)
    work.session.add_all(rows)
    await work.session.flush()
    await accounts.post_transfer(
        work, hold.contract_id, hold.customer_id, kind, postings, hold_id=hold.id, reference=hold.job_id
    )
    return rows


async def _open(work: Work, hold: Hold, unit: Unit, kind: AccountKind) -> str:
    return await accounts.open_account(work, hold.contract_id, hold.customer_id, unit, kind)


async def _find_by_key(work: Work, contract_id: str, idempotency_key: str) -> HoldView | None:
    query = select(Hold).where(Hold.contract_id == contract_id, Hold.idempotency_key == idempotency_key)
    hold = (await work.session.scalars(query)).one_or_none()
    return None if hold is None else HoldView(hold, await _legs_of(work, hold))


async def get_hold(work: Work, job_id: str) -> HoldView:
    """The hold of a job. Raises: NotFound."""
    hold = (await work.session.scalars(select(Hold).where(Hold.job_id == job_id))).one_or_none()
    if hold is None:
        raise errors.NotFound("hold of job", job_id)
    return HoldView(hold, await _legs_of(work, hold))


async def _legs_of(work: Work, hold: Hold) -> list[HoldLeg]:
    query = select(HoldLeg).where(HoldLeg.hold_id == hold.id).order_by(HoldLeg.position)
    return list((await work.session.scalars(query)).all())


async def capture_usage(work: Work, job_id: str, interval: Interval) -> HoldView:
    """Charge one interval to the job's hold. What the hold does not cover any more extends it first.

    Usage has happened when it is reported, so it is always booked: beyond a grant at the plan's price, beyond the
    budget as over budget. `is_exhausted` then tells that the job must stop.
    Raises: NotFound.
    """
    view = await get_hold(work, job_id)
    terms = await contracts.lock_contract(work, view.hold.contract_id)
    month = billing_month(interval.ended_at, terms.time_zone)
    captures, postings = [], []
    for unit, quantity in ((Unit.GPU_SECONDS, interval.gpu_seconds), (Unit.TOKENS, interval.tokens)):
        for leg, drawn in await _draw(work, terms, view, unit, quantity):
            captures.append(_capture_row(work, terms, view.hold, leg, drawn, interval, month))
            postings += await _use(work, view.hold, leg, drawn)
    micros = compute_captured_micros(view.states(), billable_only=True) - _captured_money(view)
    for leg, drawn in await _draw(work, terms, view, Unit.MICRO_YUAN, micros):
        postings += await _use(work, view.hold, leg, drawn)
    work.session.add_all(captures)
    await accounts.post_transfer(
        work,
        terms.id,
        terms.customer_id,
        "usage_captured",
        postings,
        hold_id=view.hold.id,
        reference=f"{interval.run_id}/{interval.sequence}",
    )
    return view


async def _draw(
    work: Work, terms: ContractTerms, view: HoldView, unit: Unit, quantity: int
) -> list[tuple[HoldLeg, int]]:
    """Draw from the hold's legs, extending it by what they lack; the legs count what was captured."""
    draws, missing = plan_capture(view.states(), unit, quantity)
    if missing:
        view.legs.extend(await _extend_hold(work, terms, view, unit, missing))
        draws, missing = plan_capture(view.states(), unit, quantity)
        assert missing == 0, "an extension covers what it was made for"
    taken = []
    for draw in draws:
        leg = view.legs[draw.index]
        leg.captured += draw.quantity
        taken.append((leg, draw.quantity))
    return taken


async def _extend_hold(work: Work, terms: ContractTerms, view: HoldView, unit: Unit, quantity: int) -> list[HoldLeg]:
    if unit == Unit.GPU_SECONDS:
        legs = await _plan_gpu_legs(work, terms, quantity, refuse=False)
    elif unit == Unit.TOKENS:
        legs = await _plan_token_legs(work, terms, quantity)
    else:
        month = billing_month(work.now, terms.time_zone)
        legs = await _plan_money_legs(work, terms, month, quantity, refuse=False)
    return await _add_legs(work, view.hold, legs, first_position=len(view.legs), kind="hold_extended")


async def _use(work: Work, hold: Hold, leg: HoldLeg, quantity: int) -> list[Posting]:
    unit = Unit(leg.unit)
    held_id = await _open(work, hold, unit, AccountKind.HELD)
    used_id = await _open(work, hold, unit, AccountKind.USED)
    return move(held_id, used_id, unit, quantity)


def _captured_money(view: HoldView) -> int:
    return sum(leg.captured for leg in view.legs if leg.unit == Unit.MICRO_YUAN)


def _capture_row(
    work: Work, terms: ContractTerms, hold: Hold, leg: HoldLeg, quantity: int, interval: Interval, month: str
) -> Capture:
    assert leg.unit_price is not None
    return Capture(
        customer_id=hold.customer_id,
        contract_id=hold.contract_id,
        job_id=hold.job_id,
        run_id=interval.run_id,
        sequence=interval.sequence,
        leg_id=leg.id,
        grant_id=leg.grant_id,
        unit=leg.unit,
        quantity=quantity,
        unit_price=leg.unit_price,
        billable=leg.billable,
        rate_card_version=terms.card.version,
        month=month,
        created_at=work.now,
    )


async def is_exhausted(work: Work, view: HoldView) -> bool:
    """Whether usage has gone beyond what the contract allows: the job must stop."""
    terms = await contracts.get_contract(work, view.hold.contract_id)
    if terms.overage == Overage.REFUSE and any(
        leg.unit == Unit.GPU_SECONDS and leg.grant_id is None for leg in view.legs
    ):
        return True
    ids = {leg.account_id for leg in view.legs if leg.unit == Unit.MICRO_YUAN}
    query = select(Account.id).where(Account.id.in_(ids), Account.kind == AccountKind.OVER_BUDGET.value)
    return (await work.session.scalars(query)).first() is not None


async def renew_hold(work: Work, job_id: str) -> None:
    """Keep a live job's hold for another `hold_seconds`."""
    await renew_holds(work, [job_id])


async def renew_holds(work: Work, job_ids: Sequence[str]) -> None:
    expires_at = work.now + timedelta(seconds=work.settings.hold_seconds)
    await work.session.execute(
        update(Hold).where(Hold.job_id.in_(job_ids), Hold.state == HoldState.PLACED.value).values(expires_at=expires_at)
    )


async def list_holds_due_for_renewal(work: Work) -> list[str]:
    """Jobs whose placed hold has used up half of its life, whether or not it is over."""
    half = work.now + timedelta(seconds=work.settings.hold_seconds / 2)
    query = select(Hold.job_id).where(Hold.state == HoldState.PLACED.value, Hold.expires_at < half)
    return list((await work.session.scalars(query)).all())


async def list_expired_holds(work: Work) -> list[str]:
    """Jobs whose placed hold nothing has renewed in time."""
    query = select(Hold.job_id).where(Hold.state == HoldState.PLACED.value, Hold.expires_at <= work.now)
    return list((await work.session.scalars(query)).all())


async def settle_hold(work: Work, job_id: str) -> HoldView:
    """End a job's hold: what was not captured goes back where it came from. Ending it twice changes nothing."""
    return await _end_hold(work, job_id, HoldState.SETTLED)


async def expire_hold(work: Work, job_id: str) -> HoldView:
    """End a hold that nothing renews any more."""
    return await _end_hold(work, job_id, HoldState.EXPIRED)


async def _end_hold(work: Work, job_id: str, state: HoldState) -> HoldView:
    view = await get_hold(work, job_id)
    await contracts.lock_contract(work, view.hold.contract_id)
    if view.hold.state != HoldState.PLACED:
        return view
    postings: list[Posting] = []
    for leg in view.legs:
        unit, rest = Unit(leg.unit), to_state(leg).open_quantity
        leg.released += rest
        postings += move(await _open(work, view.hold, unit, AccountKind.HELD), leg.account_id, unit, rest)
    view.hold.state, view.hold.ended_at = state.value, work.now
    await accounts.post_transfer(
        work,
        view.hold.contract_id,
        view.hold.customer_id,
        f"hold_{state.value}",
        postings,
        hold_id=view.hold.id,
        reference=job_id,
    )
    return view


@dataclass(frozen=True)
class Balance:
    """What is left of a contract. Units: GPU-seconds, tokens, money of the present billing month's budget."""

    granted_gpu_seconds: int
    available_gpu_seconds: int
    held_gpu_seconds: int
    used_gpu_seconds: int
    held_tokens: int
    used_tokens: int
    month: str
    budget: Money | None
    budget_left: Money | None
    held_money: Money
    used_money: Money


async def read_contract_balance(work: Work, contract_id: str) -> Balance:
    """Raises: NotFound."""
    terms = await contracts.get_contract(work, contract_id)
    rows = await accounts.list_accounts(work, contract_id)
    month = billing_month(work.now, terms.time_zone)

    def total(unit: Unit, kind: AccountKind) -> int:
        return sum(row.balance for row in rows if row.unit == unit and row.kind == kind)

    budget = None if terms.monthly_budget_micros is None else Money(terms.monthly_budget_micros)
    opened = [row.balance for row in rows if row.kind == AccountKind.BUDGET and row.month == month]
    return Balance(
        granted_gpu_seconds=-total(Unit.GPU_SECONDS, AccountKind.ISSUED),
        available_gpu_seconds=total(Unit.GPU_SECONDS, AccountKind.GRANTED),
        held_gpu_seconds=total(Unit.GPU_SECONDS, AccountKind.HELD),
        used_gpu_seconds=total(Unit.GPU_SECONDS, AccountKind.USED),
        held_tokens=total(Unit.TOKENS, AccountKind.HELD),
        used_tokens=total(Unit.TOKENS, AccountKind.USED),
        month=month,
        budget=budget,
        budget_left=(Money(opened[0]) if opened else budget) if budget is not None else None,
        held_money=Money(total(Unit.MICRO_YUAN, AccountKind.HELD)),
        used_money=Money(total(Unit.MICRO_YUAN, AccountKind.USED)),
    )
