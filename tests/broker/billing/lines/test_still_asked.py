"""What is asked for unused hours, after what was asked and what was taken back of it before. In yuan."""

import pytest

from broker.billing.lines.still_asked import BilledTrueUp, compute_given_up, compute_more
from pricing.money import Money


def yuan(amount: int) -> Money:
    return Money.from_decimal(str(amount))


@pytest.mark.parametrize(
    ("owed", "billed", "given_up", "more"),
    [
        (100, 0, 0, 100),
        (250, 100, 0, 150),
        (60, 100, 0, -40),
        (100, 100, 30, 0),  # what was credited is not asked for again
        (80, 100, 30, -20),  # 70 are left of what was charged: hours used later come off that
        (10, 100, 30, -70),  # until nothing is left of it
        (0, 100, 100, 0),  # what was credited is not given back once more
        (250, 100, 100, 150),  # a later year is asked for all the same
    ],
)
def test_what_was_credited_is_neither_asked_for_again_nor_given_back_twice(
    owed: int, billed: int, given_up: int, more: int
) -> None:
    assert compute_more(yuan(owed), yuan(billed), yuan(given_up)) == yuan(more)


@pytest.mark.parametrize(
    ("credited", "all_credited", "written_off", "given_up"),
    [
        (0, 0, 0, "0.00"),
        (30, 30, 0, "30.00"),
        (0, 0, 300, "100.00"),  # all of the invoice, which also asks for usage and tax
        (0, 0, 100, "33.33"),  # a third of it: a third of its line
        (40, 60, 240, "100.00"),  # what a note has left
        (40, 60, 120, "70.00"),
        (100, 100, 200, "100.00"),  # nothing of the line was left to be written off
        (0, 300, 0, "0.00"),
    ],
)
def test_a_line_has_its_share_of_what_was_written_off_of_its_invoice(
    credited: int, all_credited: int, written_off: int, given_up: str
) -> None:
    billed = BilledTrueUp(yuan(100), yuan(credited), yuan(300), yuan(all_credited), yuan(written_off))
    assert compute_given_up(billed).format_amount() == given_up


def test_a_line_that_gave_something_back_was_not_given_up() -> None:
    assert compute_given_up(BilledTrueUp(yuan(-40), yuan(0), yuan(100), yuan(0), yuan(100))) == yuan(0)
