"""What a sum is said to buy, what a hold reserves for it, and what it is charged are one and the same.

Hours beyond the grants were counted at the plan's price under `overage: on_demand`: a sum was said to buy more steps
than it was then charged for, and a hold reserved more than the sum.
"""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from broker import errors
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms, Overage, QuoteGuarantee, Rollover
from broker.jobs.rules.limits import NOTHING_SPENT, Limits, clip_need, find_promise
from broker.ledger.books.closed_months import BilledMonth
from broker.ledger.capturing.charging import Charging
from broker.ledger.capturing.supply import plan_supply
from broker.ledger.holding.legs import OpenGrants, list_origins
from broker.ledger.holding.reserves import HoldNeed, Reserves
from broker.ledger.rating.charge_limit import ChargeLimits
from pricing.budget import JobNeed, buy_part
from pricing.grants import GrantKind, GrantScope
from pricing.money import Money
from pricing.plans import PlanName
from pricing.rate_card import load_rate_cards
from pricing.rating import price_usage
from pricing.usage import METERS, Unit, Usage
from tests.broker.contract_terms import make_terms

SUMS = ("0.000001", "0.004", "0.006", "0.01", "0.02", "0.05", "0.123456", "0.50", "1", "2.005", "17.77", "5000")
NEED = JobNeed(gpu_seconds=7_203, tokens=40_111, steps=41, steps_per_epoch=10)
GPU_TYPE = "h100-80g"
CARD = load_rate_cards()["2026-01-01"]
# GPU-seconds and tokens that grants have, and their prices beside the plan's.
GRANTS = {"none": (0, 0), "part": (1_000, 7_000), "all": (NEED.gpu_seconds, NEED.tokens)}
OLDER_PRICES = {Unit.GPU_SECONDS: Decimal("4.9"), Unit.TOKENS: Decimal("0.00007")}


def make_contract(plan: PlanName, overage: Overage, multiplier: str) -> ContractTerms:
    card = CARD.model_copy(update={"gpu_multipliers": {GPU_TYPE: Decimal(multiplier)}})
    return make_terms(plan=plan, overage=overage, cards=(card,))


def make_grants(terms: ContractTerms, kept: str) -> OpenGrants:
    """Make a grant of each meter that has so much of the need left, at a price of before."""
    free = dict(zip(METERS, GRANTS[kept], strict=True))
    grants = [
        GrantTerms(
            id=f"gra_{meter}",
            contract_id=terms.id,
            customer_id=terms.customer_id,
            kind=GrantKind.BOUGHT,
            scope=GrantScope(meter, None, GPU_TYPE if meter == Unit.GPU_SECONDS else None),
            quantity=10**6,
            unit_price=OLDER_PRICES[meter],
            priority=0,
            advance=True,
            invoice_id=None,
            status=GrantStatus.ACTIVE,
            credited=True,
            reason=None,
            rollover=Rollover(),
            effective_at=terms.starts_at,
            expires_at=None,
            created_at=terms.starts_at,
        )
        for meter in METERS
    ]
    return OpenGrants.of(grants, {f"gra_{meter}": free[meter] for meter in METERS})


def count_charged_steps(
    reserves: Reserves, held: HoldNeed, limits: Limits, *, leads: bool = True
) -> tuple[int, Fraction]:
    """Run the job on its hold step by step, as it is charged; returns the whole steps charged and what they cost.

    It leads the month's rate segments, or others were there before it.
    """
    terms, moment = reserves.terms, reserves.terms.starts_at
    legs = reserves.plan_hold(held, moment)
    used = [Usage(*(int(count) for count in NEED.take(step).values())) for step in range(NEED.steps + 1)]
    supply = plan_supply(
        terms,
        reserves.less(legs).grants,
        legs,
        used[-1],
        origins=list_origins(terms, None, GPU_TYPE, moment),
        moment=moment,
        months=BilledMonth("2026-11", "2026-11"),
    )
    others = {} if leads else {segment: 1 for units in supply.units.values() for segment, _count in units}
    charging = Charging(ChargeLimits(find_promise(limits), segments=others))
    charged = charging.divide(supply, [after - before for before, after in pairwise(used)])
    cost = sum((segment.price(count) for segment, count in charging.added.items()), Fraction(0))
    return sum(
        1 for each in used[1:] if each.gpu_seconds <= charged.gpu_seconds and each.tokens <= charged.tokens
    ), cost


def price_held(reserves: Reserves, held: HoldNeed) -> Fraction:
    legs = reserves.plan_hold(held, reserves.terms.starts_at)
    priced = [price_usage(leg.unit, leg.quantity, leg.unit_price) for leg in legs if leg.unit_price is not None]
    return sum(priced, Fraction(0))


@pytest.mark.parametrize("multiplier", ["1", "2.5"])
@pytest.mark.parametrize("kept", GRANTS)
@pytest.mark.parametrize("overage", Overage)
@pytest.mark.parametrize("plan", PlanName)
def test_job_is_held_and_charged_to_the_step_that_was_said(
    plan: PlanName, overage: Overage, kept: str, multiplier: str
) -> None:
    terms = make_contract(plan, overage, multiplier)
    reserves = Reserves(terms, "2026-11", make_grants(terms, kept), room=None)
    whole = HoldNeed(Usage(NEED.gpu_seconds, NEED.tokens), None, GPU_TYPE)
    prices = reserves.find_prices(whole, terms.starts_at)
    for named in SUMS:
        max_cost = Money.from_decimal(named)
        part = buy_part(prices, max_cost, NEED)
        limits = Limits(QuoteGuarantee.PAUSE, max_cost.micros, NEED.gpu_seconds, None)
        held = replace(whole, usage=clip_need(limits, NOTHING_SPENT, prices, whole.usage))
        if overage == Overage.BLOCK and held.usage.gpu_seconds > GRANTS[kept][0]:
            with pytest.raises(errors.InsufficientBalance):
                reserves.plan_hold(held, terms.starts_at)
            continue
        assert price_held(reserves, held) <= Fraction(named), named
        steps, cost = count_charged_steps(reserves, held, limits)
        assert cost <= Fraction(named), named
        if overage != Overage.BLOCK:
            assert part.steps <= steps <= part.steps + 1, named


def test_sum_is_spent_on_grants_at_their_prices_and_beyond_them_at_the_overages() -> None:
    terms = make_contract(PlanName.PREPAID, Overage.ON_DEMAND, "1")
    reserves = Reserves(terms, "2026-11", make_grants(terms, "part"), room=None)
    prices = reserves.find_prices(HoldNeed(Usage(1, 1), None, GPU_TYPE), terms.starts_at)
    usage = Usage(2_000, 10_000)
    expected = (
        1_000 * (Fraction("4.9") + Fraction("6.8")) / 3600 + 7_000 * Fraction("0.00007") + 3_000 * Fraction("0.00009")
    )
    assert prices.price(usage.by_meter) == expected


@pytest.mark.parametrize("kept", GRANTS)
def test_job_that_others_came_before_is_charged_up_to_a_fen_a_line_less(kept: str) -> None:
    terms = make_contract(PlanName.PREPAID, Overage.ON_DEMAND, "1")
    reserves = Reserves(terms, "2026-11", make_grants(terms, kept), room=None)
    whole = HoldNeed(Usage(NEED.gpu_seconds, NEED.tokens), None, GPU_TYPE)
    prices = reserves.find_prices(whole, terms.starts_at)
    for named in ("0.50", "1", "2.005", "7.77"):
        part = buy_part(prices, Money.from_decimal(named), NEED)
        limits = Limits(QuoteGuarantee.PAUSE, Money.from_decimal(named).micros, NEED.gpu_seconds, None)
        held = replace(whole, usage=clip_need(limits, NOTHING_SPENT, prices, whole.usage))
        _steps, cost = count_charged_steps(reserves, held, limits, leads=False)
        lines = len(prices.list_lines(held.usage.by_meter))
        assert Fraction(part.cost.to_decimal()) - Fraction(lines, 100) <= cost <= Fraction(named), named
