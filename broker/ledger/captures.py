"""Captures: usage charged to a job's hold as it is reported."""

from dataclasses import dataclass

from broker.clock import billing_month
from broker.ledger import accounts
from broker.ledger.borne import hold_borne
from broker.ledger.charge_limit import BilledLine, add_usage, count_affordable
from broker.ledger.closed_months import get_open_month
from broker.ledger.holds import HoldView, add_legs, open_own, roll_hold
from broker.ledger.legs import NewLeg, plan_gpu_legs, plan_money_legs, plan_token_legs
from broker.ledger.model import (
    AccountKind,
    OnShortfall,
    Posting,
    UsageInterval,
    compute_captured_micros,
    move,
    plan_capture,
)
from broker.ledger.tables import Capture, HoldLeg
from broker.ledger.usage import read_paid_lines
from broker.work import Work
from pricing.money import Money
from pricing.usage import METERS, Unit, Usage


@dataclass(frozen=True)
class Charge:
    """An interval to be charged to a locked hold, and the month that bills it."""

    view: HoldView
    interval: UsageInterval
    month: str


@dataclass(frozen=True)
class Captured:
    """What all of a job's usage up to now costs its customer, and what the house bears of it."""

    cost: Money
    borne: Money


async def capture_usage(
    work: Work, view: HoldView, interval: UsageInterval, *, charge_limit: Money | None = None
) -> Captured:
    """Charge one interval to a locked hold. What the hold does not cover any more extends it first.

    Usage has happened when it is reported, so it is always booked: beyond a grant at the plan's price, beyond the
    budget as over budget. What would bring the job's cost above the charge limit is borne by the house.
    """
    terms = view.terms
    used_in = min(billing_month(interval.ended_at, terms.time_zone), billing_month(work.now, terms.time_zone))
    charge = Charge(view, interval, await get_open_month(work, terms.id, used_in))
    await roll_hold(work, view, charge.month)
    paid = await _count_paid(work, charge, charge_limit)
    postings = await _capture(work, charge, paid, borne=False)
    if charge_limit is not None:
        postings += await _capture(work, charge, interval.usage - paid, borne=True)
    reference = f"{interval.run_id}/{interval.sequence}"
    await accounts.post_transfer(
        work, terms.id, terms.customer_id, "usage_captured", postings, hold_id=view.hold.id, reference=reference
    )
    return Captured(view.cost_so_far(), view.borne_so_far())


async def _count_paid(work: Work, charge: Charge, charge_limit: Money | None) -> Usage:
    """Count the units of the interval that the customer pays for."""
    usage = charge.interval.usage
    if charge_limit is None:
        return usage
    lines = await read_paid_lines(work, charge.view.hold.job_id)
    gpu = await _list_lines(work, charge, Unit.GPU_SECONDS, usage.gpu_seconds)
    gpu_seconds = count_affordable(lines, gpu, charge_limit)
    text = await _list_lines(work, charge, Unit.TOKENS, usage.tokens)
    return Usage(gpu_seconds, count_affordable(add_usage(lines, gpu, gpu_seconds), text, charge_limit))


async def _list_lines(work: Work, charge: Charge, unit: Unit, quantity: int) -> list[tuple[BilledLine, int]]:
    """List the invoice lines that these units would go to, in the order in which legs pay for them."""
    states = charge.view.states()
    draws, missing = plan_capture(states, unit, quantity)
    shares = [(states[draw.index], draw.quantity) for draw in draws]
    shares += [(leg.as_state(), leg.quantity) for leg in await _plan_meter_legs(work, charge, unit, missing)]
    return [
        (BilledLine(unit, leg.unit_price, leg.billable, charge.month), count)
        for leg, count in shares
        if leg.unit_price is not None
    ]


async def _capture(work: Work, charge: Charge, usage: Usage, *, borne: bool) -> list[Posting]:
    postings: list[Posting] = []
    for unit in METERS:
        draws = await _draw(work, charge, unit, usage.count(unit), borne=borne)
        work.session.add_all([_capture_row(work, charge, leg, drawn) for leg, drawn in draws])
        postings += await _use(work, charge, unit, usage.count(unit), borne=borne)
    return postings + await _capture_money(work, charge, borne=borne)


async def _capture_money(work: Work, charge: Charge, *, borne: bool) -> list[Posting]:
    """Capture the price up to now less what was captured of it: a job's sum is rounded once, whatever its intervals."""
    unit, own = Unit.MICRO_YUAN, [leg for leg in charge.view.legs if leg.borne == borne]
    before = sum(leg.captured for leg in own if leg.unit == unit)
    micros = compute_captured_micros(charge.view.states(), billable_only=not borne, borne=borne) - before
    await _draw(work, charge, unit, micros, borne=borne)
    return await _use(work, charge, unit, micros, borne=borne)


async def _draw(work: Work, charge: Charge, unit: Unit, quantity: int, *, borne: bool) -> list[tuple[HoldLeg, int]]:
    """Draw units from the legs, extending the hold by what they lack; each leg counts what is captured of it."""
    view, month = charge.view, charge.month if unit == Unit.MICRO_YUAN else None
    draws, missing = plan_capture(view.states(), unit, quantity, month=month, borne=borne)
    if missing:
        await _extend_hold(work, charge, unit, missing, borne=borne)
        draws, missing = plan_capture(view.states(), unit, quantity, month=month, borne=borne)
        assert missing == 0, "an extension covers what it was made for"
    taken = [(view.legs[draw.index], draw.quantity) for draw in draws]
    for leg, drawn in taken:
        leg.captured += drawn
    return taken


async def _extend_hold(work: Work, charge: Charge, unit: Unit, quantity: int, *, borne: bool) -> None:
    month = charge.month if unit == Unit.MICRO_YUAN else None
    if borne:
        await hold_borne(work, charge.view, unit, quantity, month)
        return
    if month is not None:
        legs = await plan_money_legs(work, charge.view.terms, month, quantity, OnShortfall.BOOK)
    else:
        legs = await _plan_meter_legs(work, charge, unit, quantity)
    await add_legs(work, charge.view, legs, kind="hold_extended")


async def _plan_meter_legs(work: Work, charge: Charge, unit: Unit, quantity: int) -> list[NewLeg]:
    if unit == Unit.GPU_SECONDS:
        return await plan_gpu_legs(work, charge.view.terms, quantity, OnShortfall.BOOK)
    return plan_token_legs(work, charge.view.terms, quantity)


async def _use(work: Work, charge: Charge, unit: Unit, quantity: int, *, borne: bool) -> list[Posting]:
    if quantity == 0:
        return []
    held_id = await open_own(work, charge.view.hold, unit, AccountKind.HELD)
    end_id = await open_own(work, charge.view.hold, unit, AccountKind.BORNE if borne else AccountKind.USED)
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
        borne=leg.borne,
        billable=leg.billable,
        rate_card_version=charge.view.terms.prices_at(work.now).rate_card_version,
        month=charge.month,
        created_at=work.now,
    )
