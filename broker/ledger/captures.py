"""Captures: usage charged to a job's hold as it is reported, and whether the job has used up what it may."""

from dataclasses import dataclass
from datetime import datetime

from broker.clock import billing_month
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms, Overage
from broker.ledger import accounts
from broker.ledger.borne import hold_for_house
from broker.ledger.charge_limit import Line, add_usage, count_affordable
from broker.ledger.closed_months import find_open_month
from broker.ledger.holds import HoldView, add_legs, lock_hold, open_own, roll_hold
from broker.ledger.legs import NewLeg, plan_gpu_legs, plan_money_legs, plan_token_legs, read_available
from broker.ledger.model import (
    ENDS_IN,
    AccountKind,
    Beyond,
    Payer,
    Posting,
    Unit,
    compute_captured_micros,
    move,
    plan_capture,
)
from broker.ledger.tables import Capture, HoldLeg
from broker.ledger.usage import read_paid_lines
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class Interval:
    """Usage of one run between two moments: GPU-seconds and tokens."""

    run_id: str
    sequence: int
    gpu_seconds: int
    tokens: int
    ended_at: datetime


@dataclass(frozen=True)
class Charge:
    """An interval on its way to a hold: the contract's terms and the month that bills it."""

    terms: ContractTerms
    view: HoldView
    interval: Interval
    month: str


async def capture_usage(work: Work, job_id: str, interval: Interval, *, ceiling: Money | None = None) -> HoldView:
    """Charge one interval to the job's hold. What the hold does not cover any more extends it first.

    Usage has happened when it is reported, so it is always booked: beyond a grant at the plan's price, beyond the
    budget as over budget. `is_exhausted` then tells that the job must stop. What would bring the job's cost above the
    ceiling is booked on the house.
    Raises: NotFound.
    """
    terms, view = await lock_hold(work, job_id)
    used_in = min(billing_month(interval.ended_at, terms.time_zone), billing_month(work.now, terms.time_zone))
    charge = Charge(terms, view, interval, await find_open_month(work, terms.id, used_in))
    await roll_hold(work, terms, view, charge.month)
    postings: list[Posting] = []
    for payer, usage in await _share_usage(work, charge, ceiling):
        for unit, quantity in usage.items():
            postings += await _capture_meter(work, charge, payer, unit, quantity)
        postings += await _capture_money(work, charge, payer)
    reference = f"{interval.run_id}/{interval.sequence}"
    await accounts.post_transfer(
        work, terms.id, terms.customer_id, "usage_captured", postings, hold_id=view.hold.id, reference=reference
    )
    return view


async def _share_usage(work: Work, charge: Charge, ceiling: Money | None) -> list[tuple[Payer, dict[Unit, int]]]:
    """The interval's units by who pays for them."""
    usage = {Unit.GPU_SECONDS: charge.interval.gpu_seconds, Unit.TOKENS: charge.interval.tokens}
    if ceiling is None:
        return [(Payer.CUSTOMER, usage)]
    paid, own = await read_paid_lines(work, charge.view.hold.job_id), dict[Unit, int]()
    for unit, quantity in usage.items():
        parts = await _price_usage(work, charge, unit, quantity)
        own[unit] = count_affordable(paid, parts, ceiling)
        paid = add_usage(paid, parts, own[unit])
    rest = {unit: quantity - own[unit] for unit, quantity in usage.items()}
    return [(Payer.CUSTOMER, own), (Payer.HOUSE, rest)]


async def _price_usage(work: Work, charge: Charge, unit: Unit, quantity: int) -> list[tuple[Line, int]]:
    """The invoice lines that these units would go to, in the order in which legs pay for them."""
    states = charge.view.states()
    draws, missing = plan_capture(states, unit, quantity)
    parts = [(states[draw.index], draw.quantity) for draw in draws]
    parts += [(leg.as_state(), leg.quantity) for leg in await _plan_meter_legs(work, charge.terms, unit, missing)]
    return [
        (Line(unit, leg.unit_price, leg.billable, charge.month), count)
        for leg, count in parts
        if leg.unit_price is not None
    ]


async def _capture_meter(work: Work, charge: Charge, payer: Payer, unit: Unit, quantity: int) -> list[Posting]:
    draws = await _draw(work, charge, payer, unit, quantity)
    work.session.add_all([_capture_row(work, charge, leg, drawn) for leg, drawn in draws])
    return await _use(work, charge, payer, unit, quantity)


async def _capture_money(work: Work, charge: Charge, payer: Payer) -> list[Posting]:
    """The payer's price up to now less what was captured of it before: rounded once a job, whatever its intervals."""
    unit, own = Unit.MICRO_YUAN, [leg for leg in charge.view.legs if leg.payer == payer]
    before = sum(leg.captured for leg in own if leg.unit == unit)
    billable_only = payer == Payer.CUSTOMER
    micros = compute_captured_micros(charge.view.states(), billable_only=billable_only, payer=payer) - before
    await _draw(work, charge, payer, unit, micros)
    return await _use(work, charge, payer, unit, micros)


async def _draw(work: Work, charge: Charge, payer: Payer, unit: Unit, quantity: int) -> list[tuple[HoldLeg, int]]:
    """Draw from the payer's legs, extending the hold by what they lack; the legs count what was captured."""
    view, month = charge.view, charge.month if unit == Unit.MICRO_YUAN else None
    draws, missing = plan_capture(view.states(), unit, quantity, month=month, payer=payer)
    if missing:
        await _extend_hold(work, charge, payer, unit, missing)
        draws, missing = plan_capture(view.states(), unit, quantity, month=month, payer=payer)
        assert missing == 0, "an extension covers what it was made for"
    taken = [(view.legs[draw.index], draw.quantity) for draw in draws]
    for leg, drawn in taken:
        leg.captured += drawn
    return taken


async def _extend_hold(work: Work, charge: Charge, payer: Payer, unit: Unit, quantity: int) -> None:
    terms, month = charge.terms, charge.month if unit == Unit.MICRO_YUAN else None
    if payer == Payer.HOUSE:
        await hold_for_house(work, terms, charge.view, unit, quantity, month)
        return
    if month is not None:
        legs = await plan_money_legs(work, terms, month, quantity, Beyond.BOOK)
    else:
        legs = await _plan_meter_legs(work, terms, unit, quantity)
    await add_legs(work, charge.view, legs, kind="hold_extended")


async def _plan_meter_legs(work: Work, terms: ContractTerms, unit: Unit, quantity: int) -> list[NewLeg]:
    if unit == Unit.GPU_SECONDS:
        return await plan_gpu_legs(work, terms, quantity, Beyond.BOOK)
    return await plan_token_legs(work, terms, quantity)


async def _use(work: Work, charge: Charge, payer: Payer, unit: Unit, quantity: int) -> list[Posting]:
    if quantity == 0:
        return []
    held_id = await open_own(work, charge.view.hold, unit, AccountKind.HELD)
    end_id = await open_own(work, charge.view.hold, unit, ENDS_IN[payer])
    return move(held_id, end_id, unit, quantity)


def _capture_row(work: Work, charge: Charge, leg: HoldLeg, quantity: int) -> Capture:
    assert leg.unit_price is not None
    hold = charge.view.hold
    return Capture(
        customer_id=hold.customer_id,
        contract_id=hold.contract_id,
        job_id=hold.job_id,
        run_id=charge.interval.run_id,
        sequence=charge.interval.sequence,
        leg_id=leg.id,
        grant_id=leg.grant_id,
        unit=leg.unit,
        quantity=quantity,
        unit_price=leg.unit_price,
        payer=leg.payer,
        billable=leg.billable,
        rate_card_version=charge.terms.card.version,
        month=charge.month,
        created_at=work.now,
    )


async def is_exhausted(work: Work, view: HoldView) -> bool:
    """Whether a job has gone beyond what its contract allows and there is still nothing left for it: it must stop."""
    terms = await contracts.get_contract(work, view.hold.contract_id)
    return await _is_out_of_hours(work, terms, view) or await _is_out_of_budget(work, terms, view)


async def _is_out_of_hours(work: Work, terms: ContractTerms, view: HoldView) -> bool:
    if terms.overage == Overage.BILL:
        return False
    gpu = [leg for leg in view.legs if leg.unit == Unit.GPU_SECONDS and leg.payer == Payer.CUSTOMER]
    return any(leg.grant_id is None for leg in gpu) and await read_available(work, terms) == 0


async def _is_out_of_budget(work: Work, terms: ContractTerms, view: HoldView) -> bool:
    if terms.monthly_budget_micros is None:
        return False
    month = billing_month(work.now, terms.time_zone)
    over_id = await accounts.find_account(work, terms.id, Unit.MICRO_YUAN, AccountKind.OVER_BUDGET)
    if not any(leg.account_id == over_id and leg.month == month for leg in view.legs):
        return False
    budget_id = await accounts.open_budget(work, terms.id, terms.customer_id, month, terms.monthly_budget_micros)
    return await accounts.read_balance(work, budget_id) == 0
