"""Where a charge ends: no promise is exceeded, neither exactly nor on any invoice, whatever other jobs add to it."""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.ledger.rating.charge_limit import (
    Bound,
    ChargeLimits,
    LineCount,
    MonthBudget,
    Promise,
    RateSegment,
    sum_invoiced,
)
from pricing.money import Money, round_to_fen
from pricing.rounding import ExactLine, round_segment
from pricing.usage import Unit

PRICES = {Unit.GPU_SECONDS: ("6.8", "5.2", "4.0"), Unit.TOKENS: ("0.00012", "0.00009", "0.00006")}
PER_HOUR = {Unit.GPU_SECONDS: 3600, Unit.TOKENS: 1}
NOVEMBER = "2026-11"
GPU = RateSegment(Unit.GPU_SECONDS, Decimal("6.8"), True, NOVEMBER)
TEXT = RateSegment(Unit.TOKENS, Decimal("0.00012"), True, NOVEMBER)


@st.composite
def segments(draw: st.DrawFn, *months: str) -> RateSegment:
    unit = draw(st.sampled_from(list(PRICES)))
    price = Decimal(draw(st.sampled_from(PRICES[unit])))
    return RateSegment(unit, price, draw(st.booleans()), draw(st.sampled_from(months)))


QUANTITIES = st.one_of(st.integers(0, 20), st.integers(0, 100_000))
COUNTS = st.dictionaries(segments(NOVEMBER, "2026-12"), QUANTITIES, max_size=4)
COUNTS_OF_NOVEMBER = st.dictionaries(segments(NOVEMBER), QUANTITIES, max_size=4)
SUMS = st.integers(0, 300 * 10**6).map(Money)


def price(counts: Mapping[RateSegment, int]) -> Fraction:
    """Compute the exact price in yuan, by arithmetic of its own."""
    prices = (Fraction(each.unit_price) * count / PER_HOUR[each.unit] for each, count in counts.items())
    return sum(prices, Fraction(0))


def as_lines(counts: Mapping[RateSegment, int]) -> dict[RateSegment, LineCount]:
    return {segment: LineCount(count, leads=False) for segment, count in counts.items()}


def merge(left: Mapping[RateSegment, int], right: Mapping[RateSegment, int]) -> dict[RateSegment, int]:
    return {each: left.get(each, 0) + right.get(each, 0) for each in {*left, *right}}


@given(COUNTS, COUNTS, SUMS, st.booleans())
def test_job_within_its_promise_costs_no_more_by_its_exact_price_and_by_its_lines(
    so_far: dict[RateSegment, int], added: dict[RateSegment, int], most: Money, capped: bool
) -> None:
    promise = Promise(cap=most) if capped else Promise(limit=most)
    bound = ChargeLimits(promise, as_lines(so_far)).find_bound(added)
    counts = merge(so_far, added)
    if bound is None:
        assert price(counts) * 10**6 <= most.micros
        assert sum((round_to_fen(each.price(count)) for each, count in counts.items()), Money.zero()) <= most
    else:
        assert bound == (Bound.CAP if capped else Bound.LIMIT)
        least = most.micros - 10_000 * len(counts)
        assert price(counts) * 10**6 > least, "nobody is held back by more than a fen a line"


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=2, max_size=5))
def test_lines_that_others_bring_to_a_fen_stay_within_the_promises(usages: list[tuple[int, int]]) -> None:
    """Each job is promised just what its lines may come to; the shares on the invoice are never above it."""
    known: dict[RateSegment, int] = {}
    lines: dict[RateSegment, list[ExactLine]] = {GPU: [], TEXT: []}
    promises: list[Money] = []
    for gpu_seconds, tokens in usages:
        limits = ChargeLimits(Promise(cap=Money(0)), {}, known)
        own = {GPU: gpu_seconds, TEXT: tokens}
        shares = {each: ExactLine(each.price(count), limits.leads(each)) for each, count in own.items()}
        invoiced = sum((share.most for share in shares.values()), Money.zero())
        invoiced = sum((share.most for share in shares.values()), Money.zero())
        promises.append(max(invoiced, Money(math.ceil(price(own) * 10**6))))
        assert ChargeLimits(Promise(cap=promises[-1]), {}, known).find_bound(own) is None
        known = merge(known, own)
        for each, share in shares.items():
            lines[each].append(share)
    shares_of = [round_segment(lines[each]) for each in (GPU, TEXT)]
    for promise, amounts in zip(promises, zip(*shares_of, strict=True), strict=True):
        assert sum(amounts, Money.zero()) <= promise
    assert sum((sum(amounts, Money.zero()) for amounts in shares_of), Money.zero()) == sum_invoiced(known)


@given(COUNTS_OF_NOVEMBER, COUNTS_OF_NOVEMBER, SUMS)
def test_month_within_its_budget_adds_no_more_to_invoices(
    so_far: dict[RateSegment, int], added: dict[RateSegment, int], budget: Money
) -> None:
    assume(sum_invoiced(so_far) <= budget)
    bound = ChargeLimits(segments=so_far, budget=MonthBudget(budget, budget.micros)).find_bound(added)
    counts = merge(so_far, added)
    invoiced = sum((round_to_fen(each.price(count)) for each, count in counts.items() if each.billable), Money.zero())
    if bound is None:
        assert invoiced <= budget
    elif price({each: count for each, count in added.items() if each.billable}) * 10**6 < budget.micros:
        assert invoiced > budget


def test_hold_of_another_job_is_not_drawn_on() -> None:
    within = ChargeLimits(budget=MonthBudget(Money.from_decimal("10"), reach_micros=6_800_000))
    assert within.find_bound({GPU: 3600}) is None
    assert within.find_bound({GPU: 3601}) == Bound.BUDGET


def test_all_of_a_budget_can_be_used() -> None:
    """In fen by what is invoiced, in micro-yuan by what the job itself adds to what it has captured before."""
    budget = MonthBudget(Money.from_decimal("13.60"), reach_micros=6_800_000)
    limits = ChargeLimits(lines={GPU: LineCount(3600, leads=True)}, segments={GPU: 3600}, budget=budget)
    assert limits.find_bound({GPU: 3600}) is None
    assert limits.find_bound({GPU: 3601}) == Bound.BUDGET


@pytest.mark.parametrize(("leads", "bound"), [(True, None), (False, Bound.LIMIT)])
def test_line_that_does_not_lead_is_compared_as_it_may_be_lifted(leads: bool, bound: Bound | None) -> None:
    """0.012 of tokens: 0.01 on its own, 0.02 where others bring it to the next fen."""
    limits = ChargeLimits(Promise(limit=Money(15_000)), {TEXT: LineCount(100, leads)})
    assert limits.find_bound({}) == bound


def test_two_lines_that_both_round_up_stay_below_the_limit() -> None:
    """Each at half a fen: half-even rounds 0.015 up twice, which made 0.04 of 0.03."""
    other = RateSegment(Unit.TOKENS, Decimal("0.00012"), True, "2026-12")
    limits = ChargeLimits(Promise(limit=Money.from_decimal("0.03")), {TEXT: LineCount(125, leads=True)})
    assert limits.find_bound({other: 124}) is None
    assert limits.find_bound({other: 125}) == Bound.LIMIT


def test_time_is_promised_too() -> None:
    limits = ChargeLimits(Promise(limit_gpu_seconds=100), {GPU: LineCount(60, leads=True)})
    assert limits.find_bound({GPU: 40, TEXT: 10**9}) is None
    assert limits.find_bound({GPU: 41}) == Bound.LIMIT


@pytest.mark.parametrize(
    ("promise", "lines", "known", "leads"),
    [
        (Promise(), {}, {}, False),
        (Promise(cap=Money(1)), {}, {}, True),
        (Promise(cap=Money(1)), {}, {GPU: 7}, False),
        (Promise(), {GPU: LineCount(5, leads=True)}, {GPU: 7}, True),
    ],
)
def test_first_line_of_a_segment_leads_it_where_its_job_has_a_promise(
    promise: Promise, lines: dict[RateSegment, LineCount], known: dict[RateSegment, int], leads: bool
) -> None:
    assert ChargeLimits(promise, lines, known).leads(GPU) == leads
