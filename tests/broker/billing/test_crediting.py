"""What credit notes take back: never more than is left, and with all lines all of the tax, in however many notes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import errors
from broker.billing.crediting import BilledInvoice, BilledLine, CreditedLine, list_all_left, plan_credit
from broker.billing.model import LineKind
from pricing.money import Money
from pricing.tax import TaxMode


def fen(count: int) -> Money:
    return Money(count * 10_000)


def invoice(
    *amounts: int, tax: int = 0, mode: TaxMode = TaxMode.NONE, credited: dict[int, int] | None = None
) -> BilledInvoice:
    done = credited or {}
    lines = {
        position: BilledLine(
            LineKind.USAGE if amount > 0 else LineKind.ADVANCE, fen(amount), fen(done.get(position, 0))
        )
        for position, amount in enumerate(amounts, start=1)
    }
    if mode == TaxMode.ON_TOP:
        lines[len(lines) + 1] = BilledLine(LineKind.TAX, fen(tax), fen(0))
    return BilledInvoice(lines, mode, fen(tax))


def find_fields(billed: BilledInvoice, *lines: tuple[int, Money]) -> list[str]:
    with pytest.raises(errors.InvalidRequest) as refused:
        plan_credit(billed, [CreditedLine(*line) for line in lines])
    return [fault.field for fault in refused.value.errors]


def test_line_brings_back_its_share_of_the_tax_on_top() -> None:
    billed = invoice(1000, 500, tax=90, mode=TaxMode.ON_TOP)
    sums = plan_credit(billed, [CreditedLine(1, fen(1000))])
    assert (sums.total, sums.tax) == (fen(1060), fen(60))


def test_included_tax_is_within_what_comes_back() -> None:
    sums = plan_credit(invoice(1060, tax=60, mode=TaxMode.INCLUDED), [CreditedLine(1, fen(530))])
    assert (sums.total, sums.tax) == (fen(530), fen(30))


def test_what_is_left_of_a_line_counts_what_came_back_before() -> None:
    billed = invoice(1000, 500, credited={1: 990})
    assert find_fields(billed, (1, fen(11))) == ["lines.0.amount"]
    assert plan_credit(billed, [CreditedLine(1, fen(10))]).total == fen(10)


def test_what_was_refunded_is_not_credited_as_well() -> None:
    billed = replace(invoice(1000, tax=60, mode=TaxMode.ON_TOP), refunded=fen(400))
    assert plan_credit(billed, [CreditedLine(1, fen(600))]).total == fen(636)
    assert find_fields(billed, (1, fen(601))) == ["lines"]


def test_line_that_takes_off_or_is_tax_or_is_not_there_brings_nothing_back() -> None:
    billed = invoice(1000, -900, tax=6, mode=TaxMode.ON_TOP)
    assert find_fields(billed, (2, fen(1))) == ["lines.0.amount"]
    assert find_fields(billed, (3, fen(1)), (4, fen(1))) == ["lines.0.position", "lines.1.position"]


def test_usage_that_an_advance_has_paid_brings_back_no_money() -> None:
    assert find_fields(invoice(1000, -900), (1, fen(101))) == ["lines"]
    assert find_fields(invoice(1000, -1000), (1, fen(1))) == ["lines"]


def test_all_that_is_left_is_taken_from_the_first_lines_on_and_no_more_than_the_whole_has() -> None:
    """The advance takes 2.00 off 15.00, 4.00 came back and 0.50 was refunded: 8.50 is left, not the lines' 11.00."""
    billed = invoice(1000, 300, 200, -200, tax=6, mode=TaxMode.ON_TOP, credited={1: 100, 2: 300})
    billed = replace(billed, refunded=fen(50))
    assert list_all_left(billed) == [CreditedLine(1, fen(850))]
    assert list_all_left(replace(billed, refunded=fen(0))) == [CreditedLine(1, fen(900))]
    assert list_all_left(invoice(1000, 300, 200, credited={2: 300})) == [
        CreditedLine(1, fen(1000)),
        CreditedLine(3, fen(200)),
    ]


def test_line_that_is_named_twice_or_split_finer_than_a_fen_is_refused() -> None:
    assert find_fields(invoice(1000), (1, fen(1)), (1, fen(1))) == ["lines.1.position"]
    assert find_fields(invoice(1000), (1, Money(1))) == ["lines.0.amount"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([(7, fen(1))], "lines.0.position: is no line of the invoice; it has 1 to 3"),
        ([(3, fen(1))], "lines.0.position: is tax, which follows the other lines by itself; name those"),
        ([(1, Money(1))], "lines.0.amount: must be whole fen: two decimal places at most"),
        ([(1, fen(991))], "lines.0.amount: is more than is left of the line: 9.90 CNY"),
        (
            [(1, fen(1)), (1, fen(1))],
            "lines.1.position: names a line that is named before; put the two amounts together",
        ),
        ([(1, fen(490)), (2, fen(1))], "lines: come to 4.91 CNY; 4.90 CNY of the invoice is left to be credited"),
    ],
)
def test_refusal_says_what_is_wrong_and_what_is_left(lines: list[tuple[int, Money]], told: str) -> None:
    taxed = invoice(1000, 500, tax=6, mode=TaxMode.ON_TOP, credited={1: 10})
    paid = invoice(1000, 500, -1000, credited={1: 10})
    with pytest.raises(errors.InvalidRequest) as refused:
        plan_credit(paid if told.startswith("lines:") else taxed, [CreditedLine(*line) for line in lines])
    assert str(refused.value) == told
    assert f"{refused.value.errors[0].field}: {refused.value.errors[0].message}" == told


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=4),
    st.integers(0, 10**8),
    st.sampled_from([TaxMode.ON_TOP, TaxMode.INCLUDED]),
    st.data(),
)
def test_credit_notes_for_all_of_an_invoice_bring_back_all_of_it_in_any_parts(
    amounts: list[int], tax: int, mode: TaxMode, data: st.DataObject
) -> None:
    credited: dict[int, int] = {}
    total, back = Money.zero(), Money.zero()
    for position, amount in enumerate(amounts, start=1):
        first = data.draw(st.integers(0, amount))
        for part in (first, amount - first):
            if part:
                sums = plan_credit(
                    invoice(*amounts, tax=tax, mode=mode, credited=credited), [CreditedLine(position, fen(part))]
                )
                credited[position] = credited.get(position, 0) + part
                total, back = total + sums.total, back + sums.tax
    assert back == fen(tax)
    assert total == fen(sum(amounts)) + (fen(tax) if mode == TaxMode.ON_TOP else fen(0))


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=5).filter(lambda amounts: sum(amounts) > 0),
    st.integers(0, 10**8),
    st.sampled_from([TaxMode.ON_TOP, TaxMode.INCLUDED]),
)
def test_credit_note_for_all_that_is_left_brings_back_all_whatever_lines_take_off(
    amounts: list[int], tax: int, mode: TaxMode
) -> None:
    billed = invoice(*amounts, tax=tax, mode=mode)
    sums = plan_credit(billed, list_all_left(billed))
    assert sums.tax == fen(tax)
    assert sums.total == fen(sum(amounts)) + (fen(tax) if mode == TaxMode.ON_TOP else fen(0))
