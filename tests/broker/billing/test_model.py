"""Lines and their sums, and credit that is shared. Pure."""

import pytest

from broker.billing.model import DraftLine, LineKind, share_credit, sum_lines
from pricing.money import Money


def test_lines_sum_up_and_none_are_nothing() -> None:
    lines = [DraftLine(LineKind.USAGE, "usage", Money(20_000)), DraftLine(LineKind.ADVANCE, "paid", Money(-30_000))]
    assert (sum_lines(lines), sum_lines([])) == (Money(-10_000), Money.zero())


@pytest.mark.parametrize(
    ("due", "there", "shares"),
    [
        (100, {"con_2": 100}, {"con_2": 100}),
        (100, {"con_1": 30, "con_2": 30, "con_3": 50}, {"con_2": 30, "con_1": 30, "con_3": 40}),
        (20, {"con_1": 30, "con_3": 50}, {"con_1": 20}),
        (100, {"con_1": 30}, {"con_1": 30}),
        (100, {"con_1": 0}, {}),
        (0, {"con_2": 30}, {}),
    ],
)
def test_credit_of_the_invoices_own_contract_pays_before_that_of_others(
    due: int, there: dict[str, int], shares: dict[str, int]
) -> None:
    found = share_credit(Money(due), {name: Money(micros) for name, micros in there.items()}, "con_2")
    assert list(found.items()) == [(name, Money(micros)) for name, micros in shares.items()]
