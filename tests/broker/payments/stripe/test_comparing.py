"""Every difference between our books and Stripe's."""

from dataclasses import replace

import pytest

from broker.payments.stripe.comparing import CURES, DifferenceKind, Ours, Theirs, compare_invoices
from broker.payments.stripe.model import StripeStatus

OURS = Ours("inv_1", "in_1", StripeStatus.OPEN, asked_fen=500, due_fen=500, paid_fen=0)
THEIRS = Theirs("in_1", "inv_1", StripeStatus.OPEN, total_fen=500, remaining_fen=500, paid_fen=0)
OUR_PAID = replace(OURS, status=StripeStatus.PAID, due_fen=0, paid_fen=500)
THEIR_PAID = replace(THEIRS, status=StripeStatus.PAID, remaining_fen=0, paid_fen=500)


def test_equal_books_have_no_difference() -> None:
    assert compare_invoices([OURS], [THEIRS]) == []
    assert compare_invoices([OUR_PAID], [THEIR_PAID]) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "kinds"),
    [
        ([OURS], [], [DifferenceKind.MISSING_THERE]),
        ([], [THEIRS], [DifferenceKind.MISSING_HERE]),
        ([], [replace(THEIRS, our_id=None)], [DifferenceKind.NOT_OURS]),
        ([OURS], [THEIRS, replace(THEIRS, stripe_id="in_2")], [DifferenceKind.TWICE]),
        ([OURS], [THEIRS, replace(THEIRS, stripe_id="in_2", status=StripeStatus.VOID)], []),
        ([OURS], [replace(THEIRS, total_fen=501)], [DifferenceKind.TOTAL]),
        ([replace(OURS, due_fen=400)], [THEIRS], [DifferenceKind.REMAINING]),
        ([OURS], [THEIR_PAID], [DifferenceKind.STATUS, DifferenceKind.PAID]),
        ([replace(OUR_PAID, paid_fen=0, settled_outside=True)], [THEIR_PAID], []),
        ([OUR_PAID], [replace(THEIR_PAID, paid_fen=1000)], [DifferenceKind.PAID]),
        ([replace(OURS, problem="no")], [THEIRS], [DifferenceKind.STUCK]),
        ([replace(OURS, stripe_id=None, status=StripeStatus.NONE, problem="no")], [], [DifferenceKind.STUCK]),
        ([replace(OURS, status=StripeStatus.DELETED)], [], []),
    ],
)
def test_every_difference_is_told(ours: list[Ours], theirs: list[Theirs], kinds: list[DifferenceKind]) -> None:
    assert [each.kind for each in compare_invoices(ours, theirs)] == kinds


def test_difference_tells_both_amounts_and_a_cure() -> None:
    (found,) = compare_invoices([OURS], [replace(THEIRS, total_fen=501)])
    assert (found.invoice_id, found.stripe_id, found.ours, found.theirs) == ("inv_1", "in_1", "5.00", "5.01")
    assert "Stripe" in found.cure


def test_every_kind_has_a_cure() -> None:
    assert set(CURES) == set(DifferenceKind)
