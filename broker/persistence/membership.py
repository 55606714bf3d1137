"""The condition that a column has one of many values, as one array: what a batch asks for by its hundreds of ids.

An `IN` list is a parameter for each value: it is written anew for each statement, and no two lists share a plan.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, literal, literal_column, or_
from sqlalchemy.orm import InstrumentedAttribute


def is_one_of(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], values: Collection[str | None]
) -> ColumnElement[bool]:
    """Make the condition that a column of text has one of these values."""
    return column == any_(literal(list(values), ARRAY(Text)))


def is_literally(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], words: Iterable[StrEnum]
) -> ColumnElement[bool]:
    """Make the condition that a column has one of a few words of our own, written out as an index has them."""
    return or_(*(column == literal_column(f"'{word.value}'") for word in sorted(words)))
