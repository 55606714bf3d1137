"""Which invoices a receipt pays: a table of cases, and what holds for any receipts in any order."""

import random
from collections.abc import Sequence
from datetime import date

import hypothesis
import pytest
from hypothesis import strategies as st

from broker.billing.receipts import Payable
from broker.payments.matching import KnownPayers, Match, NamedReceipt, OpenBook, plan_matches
from broker.payments.model import AllocationKind, Outcome, Payer, PaymentSource, Receipt
from pricing.money import Money

FEN = 10_000


def fen(amount: int) -> Money:
    return Money(amount * FEN)


def payable(name: str, due: int, customer: str = "cus_a", *, is_over: bool = False) -> Payable:
    return Payable(f"inv_{name}", f"INV-{name}", customer, f"con_{customer[-1]}", fen(due), is_over)


def receipt(amount: int, named: Sequence[Payable] = (), *, serial: str = "1", account: str = "") -> NamedReceipt:
    payer = Payer(account=account)
    made = Receipt(PaymentSource.BANK_TRANSFER, "ours", serial, fen(amount), date(2026, 11, 5), payer)
    return NamedReceipt(made, tuple(named))


def match(each: NamedReceipt, payables: Sequence[Payable], *, tolerance: int = 0, payers: str = "") -> Match:
    known = KnownPayers()
    for customer in payers.split():
        known.learn(Payer(account="62"), customer)
    (found,) = plan_matches([each], OpenBook({one.invoice_id: one for one in payables}, known), fen(tolerance))
    return found


def told(found: Match) -> list[tuple[str, str | None, int, int]]:
    """Tell what is paid, each as kind, invoice, amount and fee in fen."""
    return [
        (each.kind.value, each.invoice_id, each.amount.micros // FEN, each.fee.micros // FEN) for each in found.shares
    ]


A, B, PAID = payable("a", 100), payable("b", 50), payable("paid", 0)
OTHER, LATE = payable("o", 70, "cus_b"), payable("late", 0, is_over=True)
TO_A, TO_B = ("invoice", "inv_a", 100, 0), ("invoice", "inv_b", 50, 0)
NAMED = {
    "exactly": ((100, [A], 0), Outcome.MATCHED, [TO_A]),
    "two in one": ((150, [A, B], 0), Outcome.MATCHED, [TO_A, TO_B]),
    "less": ((99, [A], 0), Outcome.PARTIAL, [("invoice", "inv_a", 99, 0)]),
    "less than two": ((120, [A, B], 0), Outcome.PARTIAL, [TO_A, ("invoice", "inv_b", 20, 0)]),
    "less than the first": ((60, [A, B], 0), Outcome.PARTIAL, [("invoice", "inv_a", 60, 0)]),
    "more": ((110, [A], 0), Outcome.OVER, [TO_A, ("credit", "inv_a", 10, 0)]),
    "more than two": ((151, [A, B], 0), Outcome.OVER, [TO_A, TO_B, ("credit", "inv_b", 1, 0)]),
    "paid before": ((30, [PAID], 0), Outcome.OVER, [("credit", "inv_paid", 30, 0)]),
    "too late": ((30, [LATE], 0), Outcome.OVER, [("credit", "inv_late", 30, 0)]),
    "a fee": ((98, [A], 2), Outcome.UNDER, [("invoice", "inv_a", 98, 2)]),
    "more than a fee": ((97, [A], 2), Outcome.PARTIAL, [("invoice", "inv_a", 97, 0)]),
    "a fee on the last": ((149, [A, B], 2), Outcome.UNDER, [TO_A, ("invoice", "inv_b", 49, 1)]),
    "a fee is never a whole invoice": ((100, [A, B], 60), Outcome.PARTIAL, [TO_A]),
    "two customers exactly": ((170, [A, OTHER], 0), Outcome.MATCHED, [TO_A, ("invoice", "inv_o", 70, 0)]),
    "two customers, not exactly": ((160, [A, OTHER], 0), Outcome.UNMATCHED, []),
}


@pytest.mark.parametrize("case", NAMED.values(), ids=NAMED)
def test_a_receipt_that_names_invoices_pays_them(
    case: tuple[tuple[int, list[Payable], int], Outcome, list[tuple[str, str | None, int, int]]],
) -> None:
    (amount, named, tolerance), outcome, shares = case
    found = match(receipt(amount, named), [A, B, PAID, OTHER, LATE], tolerance=tolerance)
    assert (found.outcome, told(found)) == (outcome, shares)


TWIN = payable("twin", 100)
BY_PAYER = {
    "exactly one": ("cus_a", [A, B], 100, Outcome.MATCHED, ()),
    "two fit": ("cus_a", [A, TWIN], 100, Outcome.UNMATCHED, ("inv_a", "inv_twin")),
    "none fits": ("cus_a", [A], 99, Outcome.UNMATCHED, ()),
    "nobody known": ("", [A], 100, Outcome.UNMATCHED, ()),
    "pays for two customers": ("cus_a cus_b", [A, OTHER], 70, Outcome.MATCHED, ()),
    "both customers fit": ("cus_a cus_b", [A, payable("x", 100, "cus_b")], 100, Outcome.UNMATCHED, ("inv_a", "inv_x")),
}


@pytest.mark.parametrize("case", BY_PAYER.values(), ids=BY_PAYER)
def test_a_receipt_that_names_nothing_is_matched_by_its_payer_and_exactly(
    case: tuple[str, list[Payable], int, Outcome, tuple[str, ...]],
) -> None:
    payers, payables, amount, outcome, candidates = case
    found = match(receipt(amount, account="62"), payables, payers=payers)
    assert (found.outcome, found.candidates) == (outcome, candidates)


def test_a_slip_of_the_pen_is_left_though_the_payer_is_known() -> None:
    slipped = NamedReceipt(receipt(100, account="62").receipt, (), ("RF00X",))
    assert match(slipped, [A], payers="cus_a").outcome == Outcome.UNMATCHED


REASONS: dict[str, tuple[NamedReceipt, str]] = {
    "less": (receipt(99, [A]), f"{fen(1)} less than is due"),
    "a fee": (receipt(98, [A]), f"{fen(2)} less than is due: the bank's fee"),
    "more": (receipt(110, [A]), f"{fen(10)} more than is due: the customer's credit"),
    "too late": (receipt(30, [LATE]), f"{fen(30)} came too late for an order: the customer's credit"),
    "two customers": (
        receipt(160, [A, OTHER]),
        "names invoices of several customers (INV-a, INV-o), and is not what is due of them",
    ),
    "slips": (
        NamedReceipt(receipt(1).receipt, (), ("RF0X is no reference", "RF1X is none")),
        "RF0X is no reference; RF1X is none",
    ),
    "nobody known": (
        receipt(100),
        "names no invoice, and nobody has paid from this account or under this name before",
    ),
    "by payer": (receipt(100, account="62"), "by payer and amount"),
    "none fits": (receipt(99, account="62"), "the payer is known (cus_a, cus_b), but exactly this is due of none"),
}


@pytest.mark.parametrize("case", REASONS.values(), ids=REASONS)
def test_each_answer_says_why(case: tuple[NamedReceipt, str]) -> None:
    each, reason = case
    tolerance = 2 if "fee" in reason else 0
    assert match(each, [A, OTHER, LATE], tolerance=tolerance, payers="cus_a cus_b").reason == reason


def test_what_is_left_names_what_it_would_fit() -> None:
    left = match(receipt(160, [A, OTHER]), [A, OTHER])
    assert left.candidates == ("inv_a", "inv_o")
    assert (
        match(receipt(100, account="62"), [A, TWIN], payers="cus_a").reason
        == "fits INV-a and INV-twin; claim one of them"
    )


@pytest.mark.parametrize(
    ("each", "owners"),
    [
        (receipt(100, [A]), [("cus_a", "con_a")]),
        (receipt(110, [A]), [("cus_a", "con_a")] * 2),
        (receipt(100, account="62"), [("cus_a", "con_a")]),
        (receipt(170, [A, OTHER]), [("cus_a", "con_a"), ("cus_b", "con_b")]),
    ],
)
def test_each_share_says_whose_it_is(each: NamedReceipt, owners: list[tuple[str, str]]) -> None:
    found = match(each, [A, OTHER], payers="cus_a")
    assert [(share.customer_id, share.contract_id) for share in found.shares] == owners
    assert [share.kind.value for share in found.shares if share.invoice_id is None] == []


def test_payer_without_an_account_is_known_by_its_name_and_by_no_other() -> None:
    payers = KnownPayers()
    payers.learn(Payer(name="Tea"), "cus_a")
    payers.learn(Payer(name="Tea", account="62"), "cus_b")
    assert payers.find(Payer(name="Tea")) == {"cus_a", "cus_b"}
    assert payers.find(Payer(name="Tea", account="62")) == {"cus_b"}, "its account says more"
    assert payers.find(Payer(name="Tea", account="63")) == {"cus_a", "cus_b"}
    assert payers.find(Payer(name="Ink")) == payers.find(Payer()) == set()


def test_what_names_invoices_goes_first_and_says_who_pays_from_then_on() -> None:
    by_amount = receipt(50, account="62", serial="1")
    naming = receipt(98, [A], account="62", serial="2")
    slipped = NamedReceipt(receipt(50, account="62", serial="3").receipt, (), ("RF00X",))
    book = OpenBook({each.invoice_id: each for each in (A, B)}, KnownPayers())
    found = plan_matches([by_amount, naming, slipped], book, fen(2))
    assert [each.outcome for each in found] == [Outcome.MATCHED, Outcome.UNDER, Outcome.UNMATCHED]
    assert book.dues == {"inv_a": Money.zero(), "inv_b": Money.zero()}, "the fee settles, too"


DUES = st.lists(st.integers(0, 30), min_size=1, max_size=4)


@st.composite
def books(draw: st.DrawFn) -> tuple[list[Payable], list[NamedReceipt], int]:
    payables = [
        payable(str(place), due, draw(st.sampled_from(["cus_a", "cus_b"]))) for place, due in enumerate(draw(DUES))
    ]
    receipts = [
        receipt(
            draw(st.integers(1, 40)),
            draw(st.lists(st.sampled_from(payables), max_size=2, unique=True)),
            serial=str(serial),
            account=draw(st.sampled_from(["", "1", "2"])),
        )
        for serial in range(draw(st.integers(1, 6)))
    ]
    return payables, receipts, draw(st.integers(0, 3))


def plan(payables: list[Payable], receipts: list[NamedReceipt], tolerance: int) -> dict[str, Match]:
    book = OpenBook({each.invoice_id: each for each in payables}, KnownPayers())
    found = plan_matches(receipts, book, fen(tolerance))
    return {each.receipt.serial: made for each, made in zip(receipts, found, strict=True)}


@hypothesis.given(world=books(), seed=st.integers(0, 100))
def test_shares_are_whole_and_nothing_is_paid_beyond_what_is_due_in_any_order(
    world: tuple[list[Payable], list[NamedReceipt], int], seed: int
) -> None:
    payables, receipts, tolerance = world
    found = plan(payables, receipts, tolerance)
    for each in receipts:
        made = found[each.receipt.serial]
        placed = sum((share.amount for share in made.shares), Money.zero())
        assert placed == (Money.zero() if made.outcome == Outcome.UNMATCHED else each.receipt.amount)
        assert all(share.amount.micros > 0 for share in made.shares)
        assert sum((share.fee for share in made.shares), Money.zero()) <= fen(tolerance)
    for one in payables:
        paid = [
            share.amount + share.fee
            for made in found.values()
            for share in made.shares
            if share.invoice_id == one.invoice_id and share.kind == AllocationKind.INVOICE
        ]
        assert sum(paid, Money.zero()) <= one.due
    shuffled = random.Random(seed).sample(receipts, len(receipts))
    assert plan(payables, shuffled, tolerance) == found
