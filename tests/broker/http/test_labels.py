"""Labels: names and values within bounds; what is wrong with one is told by its name, with the cure."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from broker import errors
from broker.http.labels import MAX_LABELS, Labels, read_label

LABELS = TypeAdapter(Labels)


@pytest.mark.parametrize(
    "labels", [{}, {"team": "search"}, {"team": "数据 组, =1"}, {f"a{i}": "x" * 100 for i in range(MAX_LABELS)}]
)
def test_labels_within_the_bounds_stay_as_they_are(labels: dict[str, str]) -> None:
    assert LABELS.validate_python(labels) == labels


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ({"Team": "x"}, "Team"),
        ({"1st": "x"}, "1st"),
        ({"a" * 41: "x"}, "a" * 41),
        ({"team": ""}, "team"),
        ({"team": "x" * 101}, "team"),
        ({"team": "two\nlines"}, "team"),
        ({"team": "a\x00b"}, "team"),
        ({"team": 7}, "team"),
        ({f"a{i}": "x" for i in range(MAX_LABELS + 1)}, ""),
        (["team"], ""),
        (None, ""),
    ],
)
def test_fault_of_a_label_stands_at_its_name(labels: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        LABELS.validate_python(labels)
    assert [errors.write_path(fault["loc"]) for fault in refused.value.errors()] == [field]


def test_filter_is_a_name_and_a_value_that_may_have_anything_in_it() -> None:
    assert read_label(None) is None
    assert read_label("team=a=b") == ("team", "a=b")
    for written in ("team", "=tea", "Team=tea"):
        with pytest.raises(errors.InvalidRequest):
            read_label(written)
