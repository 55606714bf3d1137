"""How numbers and flags are written: what only Python would read as one, or as another than a reader does."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from numbers import Number
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

# Python also reads 1_000, digits of every script, and blanks around them.
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

# Answers tell an amount with its currency; whoever sends that back as it came is told what to send.
OBJECT = 'must be a number by itself, such as "12.50", not an object'


def find_odd_values(model: type[BaseModel], document: Mapping[str, Any]) -> dict[str, str]:
    """Find the number fields of a document that have no number, and flags that are none: the words that refuse each."""
    found = {name: explain_number(document[name]) for name in _list_number_fields(model) if name in document}
    found |= {name: explain_flag(document[name]) for name in _list_flags(model) if name in document}
    found |= {name: OBJECT for name in _list_lone_numbers(model) if isinstance(document.get(name), Mapping)}
    return {name: words for name, words in found.items() if words is not None}


@cache
def _list_number_fields(model: type[BaseModel]) -> list[str]:
    """List the fields that are numbers, by the names that they are written under."""
    return [field.alias or name for name, field in model.model_fields.items() if takes_number(field.annotation)]


@cache
def _list_lone_numbers(model: type[BaseModel]) -> list[str]:
    """List the fields that are numbers and nothing else, by the names that they are written under."""
    fields = model.model_fields.items()
    return [field.alias or name for name, field in fields if _takes_numbers_alone(field.annotation)]


def _takes_numbers_alone(annotation: Any) -> bool:
    kinds = [kind for kind in _list_kinds(annotation) if kind is not type(None)]
    return bool(kinds) and all(map(_is_number, kinds))


@cache
def _list_flags(model: type[BaseModel]) -> list[str]:
    """List the fields that are true or false and nothing else, by the names that they are written under."""
    return [field.alias or name for name, field in model.model_fields.items() if _takes_flag_alone(field.annotation)]


def _takes_flag_alone(annotation: Any) -> bool:
    return set(_list_kinds(annotation)) - {type(None)} == {bool}


def takes_number(annotation: Any) -> bool:
    """Tell whether a value of this type may be a number."""
    return any(_is_number(kind) for kind in _list_kinds(annotation))


def _is_number(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Number) and kind is not bool


def _list_kinds(annotation: Any) -> Iterator[Any]:
    """List the types that are alternatives of an annotation; those of what is in a list or an object are not."""
    origin = get_origin(annotation)
    if origin not in {Union, UnionType, Annotated}:
        yield annotation
        return
    alternatives = get_args(annotation)
    for each in alternatives[:1] if origin is Annotated else alternatives:  # what else it is annotated with is no type
        yield from _list_kinds(each)


def explain_number(value: Any) -> str | None:
    """Explain why a value, given for a number, is not written as one; None where it is, or is none to Python either."""
    if isinstance(value, bool):
        return "must be a number, not true or false"
    if isinstance(value, str) and NUMBER.fullmatch(value) is None and _is_read_by_python(value):
        return "must be a number, written with the digits 0 to 9"
    return None


def explain_flag(value: Any) -> str | None:
    """Explain why a value, given for true or false, is neither; None where it is, or is none to Python either.

    Python's readers take "no", "off" and 0 for false.
    """
    return "must be true or false" if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _is_read_by_python(text: str) -> bool:
    try:
        Decimal(text)
    except InvalidOperation:
        return False
    return True
