"""API shapes that several features share: money, pages, problems."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

from fastapi import Header, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from broker import errors
from broker.http.plain_text import PlainText
from broker.http.unknown import MAX_NAMED, describe_unknown
from pricing.money import Money, divide_half_even
from pricing.number_fields import find_odd_values

Item = TypeVar("Item")
# Every reader of JSON keeps these exactly (RFC 8259, section 6), and so does each column.
MOST = 2**53 - 1
Whole = Annotated[int, Field(ge=0, le=MOST)]
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
HOURS_STEPS = 10_000  # of one GPU-hour
PROBLEM_EXAMPLE = "/problems/insufficient-balance"


class RequestBody(BaseModel):
    """A request body: an unknown field is refused rather than ignored, at any depth, with the nearest known one.

    So is what is sent for a number or a flag and only Python would read as one.
    """

    model_config = ConfigDict(extra="forbid")
    # Fields that are refused for a reason of their own, which says what to do instead.
    refused: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_strange(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        strange = cls._find_unknown(body) | find_odd_values(cls, body)
        if strange:
            faults = [_make_fault((name,), name, message) for name, message in strange.items()]
            faults += cls._find_faults({name: value for name, value in body.items() if name not in strange}, strange)
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return body

    @classmethod
    def _find_unknown(cls, body: dict[str, Any]) -> dict[str, str]:
        known = _list_names(cls)
        unknown = [name for name in body if name not in known][:MAX_NAMED]
        return {name: cls.refused.get(name) or describe_unknown(name, known, "field") for name in unknown}

    @classmethod
    def _find_faults(cls, body: dict[str, Any], told: Collection[str]) -> list[InitErrorDetails]:
        """Find what is wrong with all other fields than those of which something was `told`, to be told together."""
        known = _list_names(cls)
        try:
            cls.model_validate({name: value for name, value in body.items() if name in known})
        except ValidationError as error:
            return [
                _make_fault(item["loc"], item["input"], errors.describe_fault(item))
                for item in error.errors()
                if item["loc"][:1] not in {(name,) for name in told}
            ]
        return []


def _make_fault(location: tuple[int | str, ...], value: Any, message: str) -> InitErrorDetails:
    error = PydanticCustomError("fault", "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=location, input=value)


def written_like(pattern: str, example: str) -> BeforeValidator:
    """Make a validator of texts with a pattern, whose refusal shows an example instead of the pattern."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(pattern, value) is None:
            raise ValueError(f"is not written as it must be; write it like {example}")
        return value

    return BeforeValidator(check)


def _check_moment(moment: datetime) -> datetime:
    """Check that every time zone and PostgreSQL can write the time, too. Raises: ValueError."""
    is_plain = EARLIEST.year < moment.year < LATEST.year - 1  # in whatever zone: to compare moments takes longer
    if not is_plain and not EARLIEST <= moment < LATEST:
        raise ValueError(f"must be between {EARLIEST.year} and {LATEST.year}")
    return moment


def _refuse_number(value: Any) -> Any:
    """Refuse a number for a time: nobody can tell whether it counts seconds or thousandths. Raises: ValueError."""
    if isinstance(value, int | float) or (isinstance(value, str) and re.fullmatch(r"[+-]?[\d.]+", value)):
        raise ValueError("must be a time with its zone, such as 2026-11-24T10:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_refuse_number), AfterValidator(_check_moment)]


Reason = Annotated[
    PlainText,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"\S",
        description="Why, for people and the record.",
        examples=["Launch promotion"],
    ),
]
# An amount that somebody writes: finite, and no finer than a fen.
Yuan = Annotated[Decimal, Field(max_digits=15, decimal_places=2)]
Currency = Annotated[
    Literal["CNY"], Field(description="What the amounts are in: contracts are in CNY.", examples=["CNY"])
]


class MoneyOut(BaseModel):
    amount: str = Field(description="Exact decimal, in units of the currency.", examples=["4200.00"])
    currency: str = Field(description="ISO 4217 code.", examples=["CNY"])

    @classmethod
    def of(cls, money: Money) -> "MoneyOut":
        return cls(amount=money.format_amount(), currency=money.currency)

    @classmethod
    def of_micros(cls, micros: int) -> "MoneyOut":
        return cls.of(Money(micros))

    @staticmethod
    def describe(micros: int) -> dict[str, str]:
        """Describe an amount as its shape does, for an answer that is written without being made of shapes first."""
        money = Money(micros)
        return {"amount": money.format_amount(), "currency": money.currency}


MaxCost = Annotated[Decimal, Field(gt=0, max_digits=15, decimal_places=6)]  # yuan


def as_hours(gpu_seconds: int) -> str:
    """Write GPU-hours to four places, for people; GPU-seconds stay the exact unit."""
    steps = divide_half_even(abs(gpu_seconds) * HOURS_STEPS, 3600)
    whole, rest = divmod(steps, HOURS_STEPS)
    return f"{'-' if gpu_seconds < 0 else ''}{whole}.{rest:04d}"


@cache
def _list_names(shape: type[BaseModel]) -> frozenset[str]:
    """List the names under which a body may tell the fields of a shape."""
    return frozenset(field.alias or name for name, field in shape.model_fields.items())


class Page(BaseModel, Generic[Item]):
    """One page of a list, newest first unless the list says otherwise."""

    data: list[Item] = Field(description="The objects of this page.", examples=[[{}]])
    next_cursor: str | None = Field(
        description="Send it as `cursor` for the next page; null on the last one.", examples=["job_01k"]
    )


class ProblemOut(BaseModel):
    """RFC 9457 problem details; further members name what was wrong."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URI reference of the problem's type.", examples=[PROBLEM_EXAMPLE])
    title: str = Field(description="What this type of problem is.", examples=["The balance does not cover the job."])
    status: int = Field(description="HTTP status.", examples=[402])
    detail: str = Field(description="What was wrong this time, and the cure.", examples=["Needs 2.0 GPU-hours."])
    errors: list[dict[str, Any]] = Field(
        default_factory=list,
        description="One entry for each wrong field: `field` and `message`.",
        examples=[[{"field": "config.lora_rank", "message": "must be at least 1"}]],
    )


# Every route has them. A model would be made ready to be written anew for each route and each status, which none ever
# is: `ProblemOut` comes into the document with PAYMENT_RESPONSES.
PROBLEM_SCHEMA = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ProblemOut.__name__}"}}}
VERSION_RESPONSES: dict[int | str, dict[str, Any]] = {
    412: {"description": "Changed since it had the `ETag` that `If-Match` names.", "content": PROBLEM_SCHEMA}
}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": PROBLEM_SCHEMA}
    for status, text in {
        401: "No valid API key.",
        403: "The key's role does not allow it.",
        404: "No such object, or another tenant's.",
        409: "State or idempotency conflict.",
        413: "The body is larger than this broker takes.",
        422: "The request does not validate.",
        429: "Too many requests at once; send it again after `Retry-After` seconds.",
        503: "The broker is busy or its database away; send it again after `Retry-After` seconds.",
    }.items()
}
PAYMENT_RESPONSES: dict[int | str, dict[str, Any]] = {
    402: {"model": ProblemOut, "description": "The balance, the budget or the limit does not cover it."}
}

Limit = Annotated[int, Query(ge=1, le=100, description="Objects on one page.", examples=[20])]
ID_PATTERN, PREFIX_PATTERN = "^[a-z]{3}_[0-9a-z]{1,40}$", "^[a-z]{3}_[0-9a-z]{0,40}$"
Cursor = Annotated[
    str | None,
    written_like(ID_PATTERN, "the `next_cursor` of the page before"),
    Query(pattern=ID_PATTERN, description="`next_cursor` of the page before.", examples=["job_01k"]),
]

IdPrefix = Annotated[
    str | None,
    written_like(PREFIX_PATTERN, "job_01k8x2"),
    Query(pattern=PREFIX_PATTERN, description="Only objects whose id begins so.", examples=["job_01k8x2"]),
]

NEWEST: Final = "newest"
Order = Annotated[
    Literal["newest", "oldest"],
    Query(description="Which of them comes first; a cursor goes on in the order that it came in.", examples=["oldest"]),
]

NameCursor = Annotated[
    str | None, Query(max_length=200, description="`next_cursor` of the page before.", examples=["standard"])
]

# Whose rows a list is to have; without one, all that the caller may see.
OfCustomer = Annotated[str | None, Query(description="Only this customer's.", examples=["cus_01k"])]
OfContract = Annotated[str | None, Query(description="Only this contract's.", examples=["con_01k"])]
OfProject = Annotated[str | None, Query(description="Only this project's.", examples=["prj_01k"])]
OfJob = Annotated[str | None, Query(description="Only this job's.", examples=["job_01k"])]

AsOf = Annotated[
    Moment | None,
    Query(description="As it was booked at this moment (UTC); default: now.", examples=["2026-11-24T10:00:00Z"]),
]

FenceHeader = Annotated[Whole, Header(alias="X-Fence-Token", ge=1, description="Fence token of the run.", examples=[1])]


def read_fields(shape: type[BaseModel], row: object) -> dict[str, Any]:
    """Read the fields of a shape that a row has by the same names; the others are the caller's to add."""
    return {name: getattr(row, name) for name in shape.model_fields if hasattr(row, name)}


def created_at_field() -> Any:
    return Field(description="When it was made (UTC).", examples=["2026-11-24T08:00:00Z"])
