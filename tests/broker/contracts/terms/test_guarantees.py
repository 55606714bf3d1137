"""What a contract is guaranteed, when, and what a part of a month of it costs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.contracts.keeping.rows import CHANGING, READERS
from broker.contracts.terms.agreed import GuaranteedGpus
from broker.contracts.terms.changes import TermsChange, read_changes
from broker.contracts.terms.guarantees import (
    GuaranteedPeriod,
    compute_charge,
    count_most,
    is_covered,
    list_guaranteed_months,
    list_guaranteed_periods,
)
from broker.contracts.terms.model import ContractTerms
from pricing.plans import PlanName
from tests.broker.contract_terms import make_terms

NOVEMBER, DECEMBER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
SIXTEENTH = datetime(2026, 11, 16, tzinfo=UTC)
FOUR = GuaranteedGpus("rtx-4090", 4, 900_000_000)
SIGNED = make_terms(plan=PlanName.LONG_TERM, time_zone="UTC", starts_at=NOVEMBER, guaranteed_gpus=(FOUR,))


def change(terms: ContractTerms, moment: datetime, **values: Any) -> ContractTerms:
    """Make the terms as a row holds them once an amendment of that moment is confirmed: its values went to JSON."""
    first = TermsChange(terms.starts_at, {name: getattr(terms, name) for name in CHANGING})
    written: list[Mapping[str, Any]] = [TermsChange(moment, values).to_json_dict()]
    changes = (*terms.changes, *read_changes(written, READERS, first)[1 if terms.changes else 0 :])
    return replace(terms, changes=changes)


def bill(terms: ContractTerms, month: str) -> list[str]:
    begin, end = terms.month_start(month), terms.month_end(month)
    return [compute_charge(each, terms, month).format_amount() for each in list_guaranteed_periods(terms, begin, end)]


def test_whole_month_costs_the_price_of_each_and_a_part_costs_its_part() -> None:
    assert bill(SIGNED, "2026-11") == ["3600.00"]
    assert bill(replace(SIGNED, starts_at=SIXTEENTH), "2026-11") == ["1800.00"]
    assert bill(replace(SIGNED, ends_at=SIXTEENTH), "2026-11") == ["1800.00"]
    assert bill(replace(SIGNED, ends_at=NOVEMBER), "2026-11") == []
    assert bill(replace(SIGNED, cancelled_at=SIXTEENTH), "2026-11") == []


def test_amendment_prorates_the_month_and_one_of_other_terms_splits_nothing() -> None:
    more = change(SIGNED, SIXTEENTH, guaranteed_gpus=(replace(FOUR, gpus=8),))
    assert bill(more, "2026-11") == ["1800.00", "3600.00"]
    assert bill(change(SIGNED, SIXTEENTH, purchase_order="PO-1"), "2026-11") == ["3600.00"]
    none = change(SIGNED, SIXTEENTH, guaranteed_gpus=())
    assert (bill(none, "2026-11"), bill(none, "2026-12")) == (["1800.00"], [])


def test_month_that_a_new_billing_day_makes_longer_costs_more() -> None:
    longer = change(SIGNED, DECEMBER, billing_day=15)
    assert longer.month_end("2026-12") == datetime(2027, 1, 15, tzinfo=UTC)
    assert bill(longer, "2026-12") == ["5225.81"]


@given(st.lists(st.integers(1, 30 * 86400 * 10**6 - 1), max_size=4, unique=True), st.integers(0, 10**10))
def test_parts_of_a_month_add_up_to_the_whole_but_for_a_fen_each(cuts: list[int], price: int) -> None:
    own = replace(FOUR, price_micros=price * 100)
    moments = [NOVEMBER, *(NOVEMBER + timedelta(microseconds=cut) for cut in sorted(cuts)), DECEMBER]
    parts = [GuaranteedPeriod(own, *pair) for pair in pairwise(moments)]
    total = sum(compute_charge(part, SIGNED, "2026-11").micros for part in parts)
    assert abs(total - 4 * own.price_micros) <= 5_000 * len(parts)


def test_months_with_a_guarantee_are_those_up_to_now_in_which_it_held() -> None:
    given_up = change(SIGNED, datetime(2027, 1, 10, tzinfo=UTC), guaranteed_gpus=())
    assert list_guaranteed_months(given_up, datetime(2026, 12, 5, tzinfo=UTC)) == ["2026-11", "2026-12"]
    assert list_guaranteed_months(given_up, datetime(2027, 9, 5, tzinfo=UTC)) == ["2026-11", "2026-12", "2027-01"]
    assert list_guaranteed_months(replace(SIGNED, guaranteed_gpus=()), DECEMBER) == []


def test_most_that_is_guaranteed_at_one_time_does_not_add_up_what_follows_each_other() -> None:
    first, then = GuaranteedPeriod(FOUR, NOVEMBER, SIXTEENTH), GuaranteedPeriod(FOUR, SIXTEENTH, None)
    assert (count_most([first, then]), count_most([first, then, replace(then, begins_at=NOVEMBER)])) == (4, 8)
    assert count_most([]) == 0


def test_period_is_covered_where_at_least_as_many_were_guaranteed_all_the_time() -> None:
    whole = GuaranteedPeriod(FOUR, NOVEMBER, None)
    assert is_covered(replace(whole, begins_at=SIXTEENTH), [whole])
    assert not is_covered(whole, [replace(whole, begins_at=SIXTEENTH)])
    assert not is_covered(whole, [replace(whole, ends_at=SIXTEENTH)])
    assert not is_covered(whole, [replace(whole, guaranteed=replace(FOUR, gpus=3))])
    assert not is_covered(whole, [replace(whole, guaranteed=replace(FOUR, gpu_type="h200"))])
