"""Every body: a number is a number."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

import broker.app  # noqa: F401 (it brings the bodies of all routes)
from broker.http.shapes import RequestBody
from pricing.number_fields import find_odd_values


def list_bodies(kind: type[RequestBody] = RequestBody) -> Iterator[type[RequestBody]]:
    for body in kind.__subclasses__():
        yield body
        yield from list_bodies(body)


NUMBERS = sorted(
    {(body, name) for body in list_bodies() for name in find_odd_values(body, dict.fromkeys(body.model_fields, True))},
    key=str,
)


@pytest.mark.parametrize("written", [True, "1_000", "１２"])
@pytest.mark.parametrize(("body", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_number_that_is_none_is_refused_under_its_name(body: type[RequestBody], name: str, written: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        body.model_validate({name: written})
    assert [fault["loc"] for fault in caught.value.errors() if "must be a number" in fault["msg"]] == [(name,)]
    assert [fault for fault in caught.value.errors() if fault["loc"] == (name,)][1:] == []


def test_numbers_of_money_and_volume_are_among_them() -> None:
    known = {(body.__name__, name) for body, name in NUMBERS}
    assert known >= {
        ("TopUpIn", "threshold_gpu_hours"),
        ("PurchaseIn", "term_months"),
        ("JobIn", "max_cost"),
        ("CreditedLineIn", "amount"),
        ("ContractIn", "monthly_budget"),
        ("ArrearsShape", "grace_days"),
        ("QueuePatch", "priority"),
    }
