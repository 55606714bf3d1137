"""Where a job pauses and where its charge ends: the pure rules."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.contracts.terms.model import ContractTerms, QuoteGuarantee
from broker.jobs.rules.limits import (
    NOTHING_SPENT,
    Limits,
    QuotedNeed,
    Spent,
    clip_need,
    find_promise,
    has_reached_limit,
    plan_limits,
    widen_limits,
)
from broker.ledger.rating.charge_limit import NOTHING_PROMISED, Promise
from pricing.money import Money
from pricing.usage import Usage
from pricing.usage_prices import UsagePrices
from tests.broker.contract_terms import make_terms

PAUSES = make_terms()
PRICES = UsagePrices.of_plan(PAUSES.prices_at(PAUSES.starts_at))
CAPS = replace(PAUSES, quote_guarantee=QuoteGuarantee.CAP)
QUOTED = QuotedNeed(Usage(1801, 1000), total=Money.from_decimal("3.52"))
EXACT = 3_521_889  # 1801 × 6.8/3600 + 1000 × 0.00012, rounded up to the micro-yuan


def limits(**fields: Any) -> Limits:
    unset = {"guarantee": None, "limit_micros": None, "limit_gpu_seconds": None, "cap_micros": None}
    return Limits(**{**unset, **fields})


@pytest.mark.parametrize(
    ("terms", "was_named", "max_cost", "expected"),
    [
        (PAUSES, True, None, Limits(QuoteGuarantee.PAUSE, EXACT, 1801, None)),
        (PAUSES, True, "1.00", Limits(QuoteGuarantee.PAUSE, 1_000_000, 1801, None)),
        (PAUSES, True, "3.521889", Limits(QuoteGuarantee.PAUSE, EXACT, 1801, None)),
        (PAUSES, True, "9.00", Limits(QuoteGuarantee.PAUSE, 9_000_000, None, None)),
        (PAUSES, False, None, Limits(None, None, None, None)),
        (PAUSES, False, "9.00", Limits(None, 9_000_000, None, None)),
        (CAPS, True, None, Limits(QuoteGuarantee.CAP, None, None, 3_520_000)),
        (CAPS, False, None, Limits(QuoteGuarantee.CAP, None, None, 3_520_000)),
        (CAPS, True, "1.00", Limits(QuoteGuarantee.CAP, 1_000_000, None, 3_520_000)),
    ],
)
def test_contract_quote_and_max_cost_give_the_limits(
    terms: ContractTerms, was_named: bool, max_cost: str | None, expected: Limits
) -> None:
    most = None if max_cost is None else Money.from_decimal(max_cost)
    assert plan_limits(terms.quote_guarantee, PRICES, QUOTED, was_named=was_named, max_cost=most) == expected


def test_widest_promise_of_several_types_is_the_jobs_and_none_is_wider_than_any() -> None:
    dear, cheap = limits(limit_micros=9, limit_gpu_seconds=20), limits(limit_micros=9)
    assert widen_limits([dear, cheap]) == widen_limits([cheap, dear]) == limits(limit_micros=9)
    assert widen_limits([dear, limits(limit_micros=5, limit_gpu_seconds=30)]) == limits(
        limit_micros=9, limit_gpu_seconds=30
    )


@pytest.mark.parametrize(
    ("cost", "seconds", "reached"), [(99, 9, False), (100, 9, True), (99, 10, True), (101, 11, True)]
)
def test_limit_is_reached_by_cost_or_by_time(cost: int, seconds: int, reached: bool) -> None:
    spent = Spent(gpu_seconds=seconds, cost_micros=cost)
    assert has_reached_limit(limits(limit_micros=100, limit_gpu_seconds=10), spent) == reached
    assert not has_reached_limit(limits(), spent)


def test_customer_is_promised_the_limit_and_the_cap() -> None:
    assert find_promise(limits()) == NOTHING_PROMISED
    promised = find_promise(limits(limit_micros=100, limit_gpu_seconds=5, cap_micros=90))
    assert promised == Promise(limit=Money(100), limit_gpu_seconds=5, cap=Money(90))


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.one_of(st.none(), st.integers(0, 10**9)),
    st.one_of(st.none(), st.integers(0, 10**9)),
    st.integers(0, 10**9),
)
def test_no_more_is_held_than_can_be_charged(
    gpu_seconds: int, tokens: int, limit: int | None, cap: int | None, cost: int
) -> None:
    need = Usage(gpu_seconds, tokens)
    held = clip_need(limits(limit_micros=limit, cap_micros=cap), Spent(0, cost), PRICES, need)
    assert held.gpu_seconds <= gpu_seconds
    assert held.tokens <= tokens
    ends = [end for end in (limit, cap) if end is not None]
    if not ends:
        assert held == need
        return
    left = Fraction(max(0, min(ends) - cost), 10**6)
    assert PRICES.price(held.by_meter) <= left
    one_of_each_and_a_fen = PRICES.price(Usage(1, 1).by_meter) + Fraction(1, 100)
    assert held == need or PRICES.price(held.by_meter) > left - one_of_each_and_a_fen


def test_quoted_price_is_what_the_quote_shows_where_that_is_above_the_exact_one() -> None:
    rounded_up = QuotedNeed(Usage(1803, 1000), total=Money.from_decimal("3.53"))
    promised = plan_limits(QuoteGuarantee.PAUSE, PRICES, rounded_up, was_named=True, max_cost=None)
    assert promised.limit_micros == 3_530_000
    assert clip_need(promised, NOTHING_SPENT, PRICES, rounded_up.usage) == rounded_up.usage


def test_time_that_the_quote_has_left_is_all_that_is_held() -> None:
    limited, spent = limits(limit_gpu_seconds=100), Spent(gpu_seconds=70, cost_micros=0)
    assert clip_need(limited, spent, PRICES, Usage(50, 5)) == Usage(30, 5)
    assert clip_need(limited, spent, PRICES, Usage(20, 5)) == Usage(20, 5)
