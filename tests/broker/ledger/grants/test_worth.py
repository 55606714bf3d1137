"""What leaves a grant in parts is worth, to the fen, what it would be in one: refunds, expiry, carrying on, use."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.contracts.terms.model import NO_ROLLOVER, GrantStatus, GrantTerms
from broker.ledger.grants.worth import (
    Worth,
    is_deferred,
    plan_earned,
    price_leaving,
    price_signed,
    price_unearned,
    share_returned,
)
from pricing.grants import GrantKind, GrantScope
from pricing.money import MICROS_PER_FEN, Money
from pricing.tax import NO_TAX, Tax, TaxMode
from pricing.usage import METERS, Unit

BEGUN = datetime(2026, 11, 1, tzinfo=UTC)
FEN = Fraction(1, 100)

taxes = st.one_of(
    st.just(NO_TAX),
    st.builds(
        Tax,
        st.sampled_from([TaxMode.ON_TOP, TaxMode.INCLUDED]),
        st.decimals("0.0001", "0.9999", places=4),
    ),
)
prices = st.decimals("0.000001", "99", places=6)
parts = st.lists(st.integers(1, 5000), min_size=1, max_size=12)


def make_grant(unit_price: Decimal, quantity: int, unit: Unit = Unit.GPU_SECONDS) -> GrantTerms:
    return GrantTerms(
        id="gra_1",
        contract_id="con_1",
        customer_id="cus_1",
        kind=GrantKind.BOUGHT,
        scope=GrantScope(unit),
        quantity=quantity,
        unit_price=unit_price,
        priority=0,
        advance=True,
        invoice_id="inv_1",
        status=GrantStatus.ACTIVE,
        credited=True,
        reason=None,
        rollover=NO_ROLLOVER,
        effective_at=BEGUN,
        expires_at=None,
        created_at=BEGUN,
    )


@given(taxes, prices, parts, st.sampled_from(METERS))
def test_parts_that_leave_a_grant_are_worth_what_all_of_it_is(
    tax: Tax, unit_price: Decimal, leaving: list[int], unit: Unit
) -> None:
    whole = sum(leaving)
    grant = make_grant(unit_price, whole, unit)
    net, on_it, unearned = Money.zero(), Money.zero(), whole
    for part in leaving:
        worth = price_leaving(grant, tax, unearned, part)
        assert worth.net.micros % MICROS_PER_FEN == worth.tax.micros % MICROS_PER_FEN == 0
        exact = Fraction(unit_price) * part / (3600 if unit == Unit.GPU_SECONDS else 1)
        asked = worth.net + worth.tax if tax.mode == TaxMode.INCLUDED else worth.net
        assert abs(Fraction(asked.to_decimal()) - exact) <= FEN
        net, on_it, unearned = net + worth.net, on_it + worth.tax, unearned - part
    price = grant.price(whole)
    assert Worth(net, on_it) == Worth(tax.take_out(price), tax.compute(price))


@given(taxes, prices, parts)
def test_grant_that_is_used_up_month_by_month_leaves_nothing_deferred(
    tax: Tax, unit_price: Decimal, used: list[int]
) -> None:
    grant = make_grant(unit_price, sum(used))
    paid = deferred = tax.take_out(grant.price(grant.quantity))
    unearned, earned = grant.quantity, Money.zero()
    for quantity in used:
        unearned -= quantity
        left = {grant.id: tax.take_out(price_unearned(grant, unearned))}
        (move, _rounded) = plan_earned({grant.id: deferred}, left, tax.take_out(grant.price(quantity)))
        deferred, earned = deferred - move.amount, earned + move.amount
    assert (deferred, earned) == (Money.zero(), paid)


def test_what_is_not_earned_is_never_less_than_nothing() -> None:
    grant = make_grant(Decimal("5.2"), 3600)
    assert [price_unearned(grant, count).format_amount() for count in (3600, 0, -1, -3600)] == [
        "5.20",
        "0.00",
        "0.00",
        "0.00",
    ]
    assert [price_signed(grant, count).format_amount() for count in (1800, 0, -1800)] == ["2.60", "0.00", "-2.60"]


@pytest.mark.parametrize(
    ("changed", "is_one"),
    [({}, True), ({"advance": False}, False), ({"credited": False}, False), ({"invoice_id": None}, False)],
)
def test_only_what_an_invoice_asked_for_and_is_credited_is_deferred(changed: dict[str, Any], is_one: bool) -> None:
    assert is_deferred(replace(make_grant(Decimal(1), 1), **changed)) is is_one


def test_month_earns_of_each_grant_what_it_used_and_the_rest_is_rounding() -> None:
    deferred = {"gra_1": Money.from_decimal(Decimal(10)), "gra_2": Money.from_decimal(Decimal(3))}
    left = {"gra_1": Money.from_decimal(Decimal(4)), "gra_2": Money.from_decimal(Decimal(5))}
    moves = plan_earned(deferred, left, Money.from_decimal(Decimal("4.01")))
    assert [(each.credit, each.debit, each.amount.format_amount(), each.grant_id) for each in moves] == [
        ("revenue", "deferred_revenue", "6.00", "gra_1"),
        ("revenue", "deferred_revenue", "-2.00", "gra_2"),
        ("revenue", "rounding", "0.01", None),
    ]


def test_months_share_what_is_deferred_again_by_their_units_and_the_last_has_the_fen() -> None:
    grant, tax = make_grant(Decimal("5.2"), 10_000), Tax(TaxMode.INCLUDED, Decimal("0.06"))
    taken = {"2027-02": 3600, "2026-12": 7200, "2027-01": 1}
    whole = tax.take_out(grant.price(10_801))
    shares = share_returned(grant, tax, whole, taken)
    assert [(month, share.format_amount()) for month, share in shares.items()] == [
        ("2026-12", "9.81"),
        ("2027-01", "0.00"),
        ("2027-02", "4.91"),
    ]
    assert sum(shares.values(), Money.zero()) == whole
    little = Money.from_decimal(Decimal("9.00"))
    assert list(share_returned(grant, tax, little, taken).values()) == [little, Money.zero(), Money.zero()]
    assert share_returned(grant, tax, whole, {}) == {}
    # Three seconds are worth less than half a fen, nine of them one.
    seconds = share_returned(grant, NO_TAX, Money(10_000), {"2026-12": 3, "2027-01": 3, "2027-02": 3})
    assert [share.micros for share in seconds.values()] == [0, 0, 10_000]
