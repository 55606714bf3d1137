"""Exact decimals as people write them in a rate card: quoted, since a float of JSON or YAML is not exact."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

PRICE_PLACES = 12  # decimal places that the books keep of a unit price


def _refuse_inexact(value: Any) -> Any:
    if not isinstance(value, str | Decimal):
        raise ValueError('write it as a quoted decimal, such as "6.8"')  # noqa: TRY004  pydantic reports this
    return value


def write_plainly(value: Decimal) -> str:
    """Write a decimal in plain digits, without an exponent and without trailing zeros."""
    return format(value.normalize(), "f")


Exact = Annotated[
    Decimal,
    BeforeValidator(_refuse_inexact),
    PlainSerializer(write_plainly, return_type=str, when_used="json"),
]
Price = Annotated[Exact, Field(ge=0, max_digits=18, decimal_places=PRICE_PLACES)]
Multiplier = Annotated[Exact, Field(gt=0, max_digits=8, decimal_places=4)]
