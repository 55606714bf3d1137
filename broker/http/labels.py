"""Labels: names and values that a customer tells its jobs and its usage apart by. They decide no price."""

import re
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, Field

from broker import errors
from broker.http.plain_text import check_line
from broker.http.shapes import written_like

MAX_LABELS = 16
NAME = r"[a-z][a-z0-9_.-]{0,39}"
NAME_PATTERN, VALUE_PATTERN = f"^{NAME}$", r"^[^\x00-\x1f\x7f]{1,100}$"

LabelName = Annotated[
    str,
    written_like(NAME_PATTERN, "team: lower-case letters, digits and _.- after the first letter, up to 40"),
    Field(pattern=NAME_PATTERN),
]
LabelValue = Annotated[
    str,
    written_like(VALUE_PATTERN, "search: 1 to 100 characters on one line"),
    Field(pattern=VALUE_PATTERN),
    AfterValidator(check_line),
]
Labels = Annotated[
    dict[LabelName, LabelValue],
    Field(
        max_length=MAX_LABELS,
        description="What it is told apart by later, in lists and in usage; no price depends on it.",
        examples=[{"team": "search"}],
    ),
]
WithLabel = Annotated[str | None, Query(description="Only with this label.", examples=["team=search"])]


def read_label(written: str | None) -> tuple[str, str] | None:
    """Read the filter of a label, `team=search`. Raises: InvalidRequest."""
    if written is None:
        return None
    name, equals, value = written.partition("=")
    if not equals or re.fullmatch(NAME, name) is None:
        raise errors.invalid_field("label", "must be a name and a value, as team=search")
    return name, value
