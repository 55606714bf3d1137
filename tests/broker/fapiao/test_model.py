"""What fapiao say and what may be asked for. Pure."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import errors
from broker.fapiao.model import (
    FapiaoKind,
    FapiaoLine,
    Invoiceable,
    IssuingTerms,
    Title,
    check_amount,
    check_red,
    find_title_faults,
    make_line,
    make_red_line,
    write_capitals,
)
from pricing.money import Money

TERMS = IssuingTerms("*信息技术服务*算力服务费", "3040203000000000000", Decimal("0.06"), "小时")
WHOLE = Title("苏州青茶", "91110000600037341L", "苏州市", "0512", "工行", "1102")


def yuan(amount: str) -> Money:
    return Money.from_decimal(amount)


def test_amount_and_tax_lead_and_the_unit_price_follows() -> None:
    line = make_line(yuan("2600.00"), TERMS, Decimal(500))
    assert (line.net, line.tax) == (yuan("2452.83"), yuan("147.17"))
    assert line.unit_price == Decimal("4.9056600000000")
    twelve_seconds = make_line(yuan("0.02"), TERMS, Decimal("0.003333"))
    assert str(twelve_seconds.unit_price) == "6.0006000600060"


@given(st.integers(1, 10**13), st.decimals(min_value="0.000001", max_value="1000000", places=6))
def test_net_and_tax_add_up_and_the_price_is_off_by_less_than_its_last_place(fen: int, quantity: Decimal) -> None:
    amount = Money(fen * 10_000)
    line = make_line(amount, TERMS, quantity)
    assert line.net + line.tax == amount
    exact = Fraction(line.net.to_decimal()) / Fraction(quantity)
    assert abs(Fraction(line.unit_price) - exact) <= Fraction(1, 2 * 10**13)


def test_tax_is_never_guessed() -> None:
    with pytest.raises(errors.InvalidRequest, match="BROKER_FAPIAO_TAX_RATE"):
        make_line(yuan("1.00"), IssuingTerms("算力", "3" * 19, None, "项"))


def test_a_special_fapiao_needs_all_of_its_title_and_a_normal_one_its_name() -> None:
    assert list(find_title_faults(WHOLE, FapiaoKind.SPECIAL)) == []
    assert list(find_title_faults(Title("张三"), FapiaoKind.NORMAL)) == []
    fields = [fault.field for fault in find_title_faults(Title("苏州青茶"), FapiaoKind.SPECIAL)]
    assert fields == ["title.tax_number", "title.address", "title.phone", "title.bank", "title.bank_account"]


@pytest.mark.parametrize("number", ["91110000600037341M", "9111000060003734", "1234567890", "９1110000600037341L"])
def test_a_tax_number_whose_check_digit_does_not_fit_is_named(number: str) -> None:
    (fault,) = find_title_faults(Title("苏州青茶", number), FapiaoKind.NORMAL)
    assert fault.field == "title.tax_number"


def test_what_can_be_asked_for_is_what_was_consumed_less_what_was_invoiced() -> None:
    there = Invoiceable(consumed=yuan("100.00"), invoiced=yuan("30.00"))
    assert (there.amount, there.debt) == (yuan("70.00"), yuan("0"))
    assert check_amount(None, there) == yuan("70.00")
    assert check_amount(yuan("0.01"), there) == yuan("0.01")


@pytest.mark.parametrize(
    ("asked", "told"),
    [("70.01", "is more than can be invoiced: 70.00 CNY"), ("0", "above zero"), ("-1", "above zero"), ("1.001", "fen")],
)
def test_more_than_that_is_refused_with_the_field(asked: str, told: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=told) as refused:
        check_amount(yuan(asked), Invoiceable(yuan("100.00"), yuan("30.00")))
    assert refused.value.errors[0].field == "amount"


@pytest.mark.parametrize("consumed", ["0", "30.00"])
def test_who_asks_for_all_of_nothing_is_told_so(consumed: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"nothing can be asked for: of {yuan(consumed)} consumed"):
        check_amount(None, Invoiceable(yuan(consumed), yuan(consumed)))


def test_a_debt_blocks_new_ones_until_its_red_one() -> None:
    there = Invoiceable(consumed=yuan("20.00"), invoiced=yuan("30.00"))
    assert (there.amount, there.debt) == (yuan("0"), yuan("10.00"))
    with pytest.raises(errors.InvalidRequest, match=r"fapiao of 10\.00 CNY more than was consumed"):
        check_amount(yuan("1.00"), there)


def test_a_red_one_takes_back_no_more_than_is_left() -> None:
    assert check_red(None, yuan("5.00")) == yuan("5.00")
    with pytest.raises(errors.InvalidRequest, match=r"is more than is left of the fapiao: 5\.00"):
        check_red(yuan("5.01"), yuan("5.00"))
    with pytest.raises(errors.InvalidRequest, match="above zero"):
        check_red(None, yuan("0"))


@given(
    st.integers(1, 10**9), st.lists(st.integers(1, 10**9), max_size=5), st.sampled_from(["0", "0.01", "0.06", "0.13"])
)
def test_red_ones_that_take_back_all_take_back_all_of_the_tax(fen: int, parts: list[int], rate: str) -> None:
    terms = replace(TERMS, tax_rate=Decimal(rate))
    line, left = make_line(Money(fen * 10_000), terms, Decimal(3)), fen
    sums = [line.net, line.tax]
    for part in [*parts, fen]:
        taken = min(part, left)
        if taken:
            red = make_red_line(FapiaoLine.read(line.to_json()), Money(taken * 10_000), Money(left * 10_000))
            assert red.net + red.tax == Money(-taken * 10_000)
            assert red.net.micros <= 0
            assert red.tax.micros <= 0
            sums, left = [sums[0] + red.net, sums[1] + red.tax], left - taken
    assert sums == [Money.zero(), Money.zero()]


def test_a_red_one_takes_back_its_share_of_the_quantity_at_the_same_price() -> None:
    line = make_line(yuan("2600.00"), TERMS, Decimal(500))
    half = make_red_line(line, yuan("1300.00"), yuan("2600.00")).to_json()
    assert (half["quantity"], half["unit_price"], half["net"], half["tax"]) == (
        "-250",
        "4.9056400000000",
        "-1226.41",
        "-73.59",
    )
    third = make_red_line(line, yuan("0.01"), yuan("1300.00"))
    assert third.quantity == Decimal("-0.0019230769231")


def test_the_total_is_written_in_capitals() -> None:
    assert write_capitals(yuan("2600.00")) == "贰仟陆佰元整"
    assert write_capitals(yuan("-10.05")) == "负壹拾元零伍分"
