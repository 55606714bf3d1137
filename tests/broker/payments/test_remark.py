"""References and numbers in remarks, however banks and people break them up."""

import hypothesis
import pytest
from hypothesis import strategies as st

from broker.billing.reference import make_reference
from broker.payments.remark import read_remark

ONE, TWO = make_reference("INV-2026-000001"), make_reference("INV-2026-000002")
NUMBERS = st.builds("INV-{}-{:06d}".format, st.integers(2020, 2099), st.integers(1, 2_000_000))


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        ONE.lower(),
        f"货款 {ONE}",
        f"货款{ONE}11月",
        f"{ONE}20261105",
        " ".join(ONE[place : place + 4] for place in range(0, len(ONE), 4)),
        "-".join(ONE),
        "".join(chr(ord(each) + 0xFEE0) for each in ONE),
        f"{ONE} {ONE}",
    ],
)
def test_a_reference_is_found_in_any_dress(text: str) -> None:
    assert read_remark(text).references == (("INV2026000001",),)


def test_two_references_are_found_in_their_order() -> None:
    assert read_remark(f"{TWO}、{ONE}").references == (("INV2026000002",), ("INV2026000001",))
    assert read_remark(TWO + ONE).references == (("INV2026000002",), ("INV2026000001",))


def test_wrong_check_digits_are_a_slip_and_name_nothing() -> None:
    wrong = f"RF00{ONE[4:]}"
    remark = read_remark(f"{wrong} {TWO}")
    assert (remark.references, remark.numbers, remark.slips) == ((("INV2026000002",),), (), (wrong,))


def test_a_number_alone_names_its_invoice() -> None:
    assert "INV2026000001" in read_remark("INV-2026-000001 11月款").numbers
    assert read_remark("11月服务费 2026").numbers == ()


@hypothesis.given(numbers=st.lists(NUMBERS, min_size=1, max_size=3, unique=True), words=st.text(max_size=12))
def test_whatever_stands_before_references_are_all_found(numbers: list[str], words: str) -> None:
    hypothesis.assume(not any(each.isascii() and each.isalnum() for each in words))
    text = words + " / ".join(make_reference(number) for number in numbers)
    found = read_remark(text).references
    assert len(found) == len(numbers)
    assert all(number.replace("-", "") in bodies for number, bodies in zip(numbers, found, strict=True))
