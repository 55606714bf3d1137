"""An invoice broken down by a label: the shares of its values add up to the total. Pure."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.billing.label_shares import share_by_label
from pricing.evidence.document import read_evidence
from pricing.evidence.sealing import seal_evidence
from pricing.money import Money
from tests.pricing.evidence.documents import DOCUMENT, line


def share(document: dict[str, Any], label: str = "team") -> tuple[dict[str | None, str], str]:
    shares = share_by_label(read_evidence(seal_evidence(document)), label)
    return {value: money.format_amount() for value, money in shares.amounts.items()}, shares.undivided.format_amount()


def test_a_line_is_shared_by_the_usage_of_its_intervals_whatever_paid_for_it() -> None:
    # Of the 7,200 seconds at 6.80 and at a gift's 5.20 those of `search` are 3,200; all tokens are of nobody.
    amounts, undivided = share(DOCUMENT)
    assert amounts == {"search": "3.02", None: "6.57"}
    assert undivided == "0.58"


def test_a_label_that_nothing_has_leaves_all_to_those_without() -> None:
    assert share(DOCUMENT, "cost-center") == ({None: "9.59"}, "0.58")


def test_what_a_grant_paid_of_a_line_that_is_not_shared_is_not_shared_either() -> None:
    document = copy.deepcopy(DOCUMENT)
    back = {"job_id": "job_9", "quantity": -3600, "unit_price": "5.2", "used_month": "2026-10", "billable": False}
    document["lines"][5:5] = [
        line(6, "-5.20", kind="correction", **back),
        line(7, "5.20", kind="advance", **back),
    ]
    assert share(document) == share(DOCUMENT)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=2, max_size=2))
def test_shares_add_up_to_the_total(values: list[str | None]) -> None:
    document = copy.deepcopy(DOCUMENT)
    for interval, value in zip(document["runs"][0]["intervals"], values, strict=False):
        interval["labels"] = {} if value is None else {"team": value}
    shares = share_by_label(read_evidence(seal_evidence(document)), "team")
    total = sum(shares.amounts.values(), shares.undivided)
    assert total == Money.from_decimal(document["invoice"]["total"])
