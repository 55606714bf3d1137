"""A hold of several GPU types covers each of them, and takes of no source more than the one that draws most from it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import errors
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms, Overage, Rollover
from broker.ledger.books.closed_months import BilledMonth
from broker.ledger.books.model import AccountKind, LegState
from broker.ledger.capturing.supply import plan_draws, plan_supply
from broker.ledger.holding.adjusted_legs import compute_money, plan_adjusted_legs
from broker.ledger.holding.legs import BudgetRoom, NewLeg, OpenGrants, list_origins, plan_money_leg
from broker.ledger.holding.reserves import HoldNeed, Reserves
from broker.ledger.holding.wide_holds import find_dearest, merge_legs, plan_wide_hold, widen_legs
from pricing.grants import GrantKind, GrantScope
from pricing.plans import PlanName
from pricing.rate_card import load_rate_cards
from pricing.rating import price_usage
from pricing.usage import METERS, Unit, Usage
from tests.broker.contract_terms import make_terms
from tests.properties import examples

CARD = load_rate_cards()["2026-01-01"]
TYPES = ("rtx-3090", "rtx-4090", "h100-80g")
MULTIPLIERS = st.sampled_from(["0.5", "1", "1", "2.5"])
NOVEMBER = BilledMonth("2026-11", "2026-11")


def make_contract(plan: PlanName, overage: Overage, multipliers: dict[str, Decimal]) -> ContractTerms:
    card = CARD.model_copy(update={"gpu_multipliers": {sku: each for sku, each in multipliers.items() if each != 1}})
    return make_terms(plan=plan, overage=overage, cards=(card,))


def make_grant(terms: ContractTerms, number: int, scope: GrantScope, price: str, *, advance: bool) -> GrantTerms:
    return GrantTerms(
        id=f"gra_{number}",
        contract_id=terms.id,
        customer_id=terms.customer_id,
        kind=GrantKind.BOUGHT,
        scope=scope,
        quantity=10**9,
        unit_price=Decimal(price),
        priority=0,
        advance=advance,
        invoice_id=None,
        status=GrantStatus.ACTIVE,
        credited=True,
        reason=None,
        rollover=Rollover(),
        effective_at=terms.starts_at - timedelta(days=number),
        expires_at=None,
        created_at=terms.starts_at,
    )


SCOPES = [GrantScope(), GrantScope(Unit.TOKENS), *(GrantScope(Unit.GPU_SECONDS, None, sku) for sku in TYPES)]
GRANTS = st.lists(
    st.tuples(st.sampled_from(SCOPES), st.integers(0, 9_000), st.sampled_from(["0.5", "4.9", "6.8"]), st.booleans()),
    max_size=4,
)
NEEDS = st.dictionaries(st.sampled_from(TYPES), st.integers(0, 9_000), min_size=1)


def sum_money(legs: list[NewLeg]) -> int:
    return sum(leg.quantity for leg in legs if leg.unit == Unit.MICRO_YUAN)


def run_on(reserves: Reserves, legs: list[NewLeg], need: HoldNeed) -> tuple[Usage, Fraction]:
    """Run a job on its hold alone, all else is taken; returns what is covered, and the money that it costs."""
    terms, moment = reserves.terms, reserves.terms.starts_at
    nothing_free = OpenGrants(reserves.grants.terms, dict.fromkeys(reserves.grants.terms, 0))
    origins = list_origins(terms, None, need.gpu_type, moment)
    supply = plan_supply(terms, nothing_free, legs, need.usage, origins=origins, moment=moment, months=NOVEMBER)
    drawn = [(segment, count) for meter in METERS for segment, count in supply.units[meter]]
    covered = Usage(*(sum(count for _segment, count in supply.units[meter]) for meter in METERS))
    money = sum((segment.price(count) for segment, count in drawn if segment.billable), Fraction(0))
    return covered, money


@examples(100)
@given(
    plan=st.sampled_from(PlanName),
    overage=st.sampled_from(Overage),
    multipliers=st.fixed_dictionaries(dict.fromkeys(TYPES, MULTIPLIERS)),
    grants=GRANTS,
    seconds=NEEDS,
    tokens=st.integers(0, 50_000),
)
def test_whichever_type_runs_its_p90_is_covered_by_the_hold_alone(plan, overage, multipliers, grants, seconds, tokens):
    terms = make_contract(plan, overage, {sku: Decimal(each) for sku, each in multipliers.items()})
    known = [make_grant(terms, n, scope, price, advance=paid) for n, (scope, _free, price, paid) in enumerate(grants)]
    opened = OpenGrants.of(known, {f"gra_{n}": free for n, (_scope, free, _price, _paid) in enumerate(grants)})
    reserves = Reserves(terms, "2026-11", opened, room=None)
    needs = [HoldNeed(Usage(count, tokens), None, sku) for sku, count in seconds.items()]
    try:
        alone = [reserves.plan_hold(need, terms.starts_at) for need in needs]
    except errors.InsufficientBalance:
        with pytest.raises(errors.InsufficientBalance):
            plan_wide_hold(reserves, needs, terms.starts_at)
        return
    dearest, legs = plan_wide_hold(reserves, needs, terms.starts_at)
    assert dearest in needs
    for need, own in zip(needs, alone, strict=True):
        covered, money = run_on(reserves, list(legs), need)
        assert covered == need.usage
        assert money * 10**6 <= sum_money(list(legs))
        assert value(own) <= value(list(legs)) + Fraction(sum_money(list(legs)), 10**6)
    assert sum_money(list(legs)) == max(map(sum_money, alone))
    for grant in known:
        assert count_of(legs, grant.id) == max(count_of(own, grant.id) for own in alone) <= opened.free[grant.id]


@examples(100)
@given(
    overage=st.sampled_from(Overage),
    multipliers=st.fixed_dictionaries(dict.fromkeys(TYPES, MULTIPLIERS)),
    grants=GRANTS,
    seconds=NEEDS,
    tokens=st.integers(0, 50_000),
    quarters=st.integers(0, 4),
)
def test_what_is_left_of_a_job_is_covered_on_whichever_type_goes_on(
    overage, multipliers, grants, seconds, tokens, quarters
):
    """A part of the job has run on one of its types; then the hold is adjusted to what is left on each of them."""
    terms = make_contract(PlanName.PREPAID, overage, {sku: Decimal(each) for sku, each in multipliers.items()})
    known = [make_grant(terms, n, scope, price, advance=paid) for n, (scope, _free, price, paid) in enumerate(grants)]
    opened = OpenGrants.of(known, {f"gra_{n}": free for n, (_scope, free, _price, _paid) in enumerate(grants)})
    reserves = Reserves(terms, "2026-11", opened, room=None)
    needs = [HoldNeed(Usage(count, tokens), None, sku) for sku, count in seconds.items()]
    try:
        _dearest, legs = plan_wide_hold(reserves, needs, terms.starts_at)
    except errors.InsufficientBalance:
        return
    ran = take_part(needs[0], quarters)
    states, charged = capture_on(reserves, list(legs), ran)
    left = [take_part(need, 4 - quarters) for need in needs]
    rest = reserves.less(legs).grants
    plans = [
        plan_adjusted_legs(terms, rest, states, need.usage, origins_of(terms, need), terms.starts_at) for need in left
    ]
    money = [compute_money(states, plan) for plan in plans]
    dearest = find_dearest(
        [[*plan, *plan_money_leg(micros, "2026-11")] for plan, micros in zip(plans, money, strict=True)]
    )
    wanted = list(widen_legs(plans, dearest, rest))
    for need in left:
        covered, cost = run_on(reserves, wanted, need)
        assert covered == need.usage
        assert (charged + cost) * 10**6 <= money[dearest] + charged_money(states)


def take_part(need: HoldNeed, quarters: int) -> HoldNeed:
    return replace(need, usage=Usage(need.usage.gpu_seconds * quarters // 4, need.usage.tokens * quarters // 4))


def origins_of(terms: ContractTerms, need: HoldNeed):
    return list_origins(terms, None, need.gpu_type, terms.starts_at)


def capture_on(reserves: Reserves, legs: list[NewLeg], need: HoldNeed) -> tuple[list[LegState], Fraction]:
    """Capture usage from a hold, extended by what lies beyond its grants; returns its legs, and the money it costs."""
    terms, states = reserves.terms, [to_state(leg) for leg in legs]
    nothing_free = OpenGrants(reserves.grants.terms, dict.fromkeys(reserves.grants.terms, 0))
    for meter, origin in origins_of(terms, need).items():
        draws, more = plan_draws(terms, nothing_free, states, origin, need.usage.count(meter), terms.starts_at)
        states += [to_state(leg) for leg in more]
        for draw in draws:
            states[draw.index] = replace(states[draw.index], captured=states[draw.index].captured + draw.quantity)
    billed = [state for state in states if state.billable and state.unit_price is not None]
    charged = sum((price_usage(each.unit, each.captured, each.unit_price) for each in billed), Fraction(0))
    money = next((place for place, state in enumerate(states) if state.unit == Unit.MICRO_YUAN), None)
    if money is not None:
        states[money] = replace(states[money], captured=int(charged * 10**6))
    return states, charged


def to_state(leg: NewLeg) -> LegState:
    return LegState(leg.unit, leg.unit_price, leg.billable, leg.quantity, 0, 0, leg.month, leg.borne, leg.grant_id)


def charged_money(states: list[LegState]) -> int:
    return sum(state.captured for state in states if state.unit == Unit.MICRO_YUAN)


def count_of(legs: list[NewLeg], grant_id: str) -> int:
    return sum(leg.quantity for leg in legs if leg.grant_id == grant_id)


def value(legs: list[NewLeg]) -> Fraction:
    """Price what a hold has of grants that an advance has paid for."""
    paid = (price_usage(leg.unit, leg.quantity, leg.unit_price) for leg in legs if leg.grant_id and not leg.billable)
    return sum(paid, Fraction(0))


def test_seconds_of_a_grant_and_money_of_a_dearer_type_are_both_held_and_neither_twice() -> None:
    terms = make_contract(PlanName.PREPAID, Overage.CONTRACT, {"h100-80g": Decimal("2.5"), "rtx-4090": Decimal(1)})
    grant = make_grant(terms, 0, GrantScope(), "5.2", advance=True)
    reserves = Reserves(terms, "2026-11", OpenGrants.of([grant], {"gra_0": 5_000}), BudgetRoom(10**7, 10**7))
    slow, fast = HoldNeed(Usage(4_000), None, "rtx-4090"), HoldNeed(Usage(1_000), None, "h100-80g")
    need, legs = plan_wide_hold(reserves, [slow, fast], terms.starts_at)
    assert need == fast
    assert [(leg.source, leg.quantity) for leg in legs] == [
        (AccountKind.GRANTED, 4_000),
        (AccountKind.UNCOMMITTED, 1_000),
        (AccountKind.BUDGET, 3_611_112),
    ]


def test_a_type_that_the_budget_does_not_pay_for_refuses_the_whole_hold() -> None:
    terms = make_contract(PlanName.ON_DEMAND, Overage.CONTRACT, {"h100-80g": Decimal("2.5")})
    reserves = Reserves(terms, "2026-11", OpenGrants.of([], {}), BudgetRoom(2 * 10**6, 2 * 10**6))
    needs = [HoldNeed(Usage(1_000), None, sku) for sku in ("rtx-4090", "h100-80g")]
    reserves.plan_hold(needs[0], terms.starts_at)
    with pytest.raises(errors.BudgetExceeded):
        plan_wide_hold(reserves, needs, terms.starts_at)


def make_leg(quantity: int, **fields) -> NewLeg:
    """Make a leg of seconds outside grants; any of its fields may be told."""
    leg = NewLeg(Unit.GPU_SECONDS, AccountKind.UNCOMMITTED, quantity, Decimal("6.8"), billable=True)
    return replace(leg, **fields)


def test_the_dearest_holds_most_money_then_most_worth_and_of_equals_the_first_is_taken() -> None:
    seconds, money = make_leg(3600), make_leg(1, unit=Unit.MICRO_YUAN, unit_price=None, source=AccountKind.BUDGET)
    assert find_dearest([[seconds], [money], [seconds, seconds]]) == 1
    assert find_dearest([[seconds], [seconds, seconds], [seconds]]) == 1
    assert find_dearest([[seconds], [seconds], [seconds]]) == 0


def test_legs_of_one_source_at_one_price_are_one_where_the_first_of_them_stands() -> None:
    granted = make_leg(5, source=AccountKind.GRANTED, grant_id="gra_1", unit_price=Decimal("4.9"), billable=False)
    december = make_leg(1, unit=Unit.MICRO_YUAN, unit_price=None, month="2026-12")
    legs = [make_leg(1), granted, make_leg(2, unit_price=Decimal("6.9")), make_leg(3), december, granted]
    assert merge_legs(legs) == [make_leg(4), replace(granted, quantity=10), legs[2], december]
    others = [replace(granted, billable=True), replace(granted, grant_id="gra_2"), replace(december, month="2027-01")]
    assert merge_legs([granted, december, *others]) == [granted, december, *others]
