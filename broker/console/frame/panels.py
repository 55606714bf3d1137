"""The states of a panel. It shows rows, or says why it shows none; loading is the browser's own state."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar

from broker.console.frame.problem import Problem, read_problem
from broker.http.problems import answer_error
from broker.persistence.faults import Fault, find_fault
from broker.work import Work

View = TypeVar("View")


class PanelState(StrEnum):
    """`never`: there was never any; `none_match`: none that the filters let through; `stale`: shown, and not of now."""

    READY = "ready"
    NEVER = "never"
    NONE_MATCH = "none_match"
    ERROR = "error"
    STALE = "stale"


@dataclass(frozen=True)
class Panel(Generic[View]):
    """What a panel shows, as of a moment; one in the state `error` has a problem in place of a view."""

    state: PanelState
    as_of: datetime
    view: View | None = None
    problem: Problem | None = None

    @classmethod
    def ready(cls, view: View, as_of: datetime) -> Self:
        return cls(PanelState.READY, as_of, view)

    @classmethod
    def of(cls, view: View, as_of: datetime, *, shown: int, is_filtered: bool) -> Self:
        """Make the panel of a list: ready where it shows any; else none match, or there never were any."""
        if shown:
            return cls.ready(view, as_of)
        return cls(PanelState.NONE_MATCH if is_filtered else PanelState.NEVER, as_of, view)

    @classmethod
    def stale(cls, view: View, as_of: datetime) -> Self:
        """Make the panel of what was true at an earlier moment, and may not be any more."""
        return cls(PanelState.STALE, as_of, view)

    @classmethod
    def failed(cls, problem: Problem, as_of: datetime) -> Self:
        return cls(PanelState.ERROR, as_of, None, problem)


async def read_panel(request: Any, work: Work, read: Callable[[Work], Awaitable[Panel[View]]]) -> Panel[View]:
    """Read a panel under a savepoint: where it fails, it says so, and those beside it are read all the same.

    For a page of several panels; each costs two short statements more.
    Raises: what says that the database is away; then nothing beside it can be read either, nor the page committed.
    """
    try:
        async with work.session.begin_nested():
            return await read(work)
    except Exception as error:  # whatever else it is, the panel tells it
        if find_fault(error) == Fault.AWAY:
            raise
        return Panel.failed(read_problem(await answer_error(request, error)), work.now)
