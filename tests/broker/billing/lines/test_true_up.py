"""What is asked for unused hours, after what was asked and what was taken back of it before. In yuan."""

import pytest

from broker.billing.lines.true_up import compute_more
from pricing.money import Money


def yuan(amount: int) -> Money:
    return Money.from_decimal(str(amount))


@pytest.mark.parametrize(
    ("owed", "billed", "credited", "more"),
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
    owed: int, billed: int, credited: int, more: int
) -> None:
    assert compute_more(yuan(owed), yuan(billed), yuan(credited)) == yuan(more)
