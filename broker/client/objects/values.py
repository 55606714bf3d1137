"""Values that several objects of the API have: pages, money, ranges, what a change brings about."""

from typing import Any, Generic, NotRequired, TypedDict, TypeVar

Item = TypeVar("Item")


class Page(TypedDict, Generic[Item]):
    """One page of a list; `next_cursor` asks for the next."""

    data: list[Item]
    next_cursor: str | None


class Money(TypedDict):
    """An exact decimal, in units of the currency."""

    amount: str
    currency: str


class Seconds(TypedDict):
    """A range of GPU-seconds."""

    p50: int
    p90: int


class Hours(TypedDict):
    """A range of GPU-hours, to four places."""

    p50: str
    p90: str


class Moments(TypedDict):
    """A range of times."""

    p50: str
    p90: str


class Effects(TypedDict):
    """What a change of ops does to jobs: how many it lets start, and whom it strands."""

    frees: NotRequired[int]
    freed_job_ids: NotRequired[list[str]]
    warnings: NotRequired[list[dict[str, Any]]]


class Stops(Effects):
    """The same of a limit that was lowered: and whose runs stop for it."""

    stopping: NotRequired[list[str]]
