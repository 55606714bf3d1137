"""What closing a month looks at and where it stands. Pure."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from broker import errors
from broker.work import Work


class ClosingStatus(StrEnum):
    """A running closing goes on by itself; an incomplete one names what it could not do, and is started again."""

    RUNNING = "running"
    INCOMPLETE = "incomplete"
    CLOSED = "closed"


@dataclass(frozen=True)
class Finding:
    """One point of the list of a month: how many things are open, the first of them, and what to do.

    One that `blocks` keeps the month from being closed while any are open, unless it is accepted; others are hints.
    """

    name: str
    open: int
    told: str
    blocks: bool = False
    examples: Sequence[str] = ()


# Looks at a month for one point of its list; rooms above hand in theirs.
Check = Callable[[Work, str], Awaitable[Finding]]


@dataclass(frozen=True)
class Refusal:
    """A month of a contract that could not be made final, and why."""

    contract_id: str
    month: str | None
    reason: str

    def to_json(self) -> dict[str, str | None]:
        return asdict(self)


def find_blocking(findings: Iterable[Finding], accepted: Collection[str]) -> list[Finding]:
    """Find what keeps a month from being closed."""
    return [each for each in findings if each.blocks and each.open and each.name not in accepted]


def require_acceptable(findings: Sequence[Finding], accepted: Collection[str]) -> None:
    """Require that each accepted point is one that blocks. Raises: InvalidRequest."""
    known = sorted(each.name for each in findings if each.blocks)
    for name in accepted:
        if name not in known:
            raise errors.invalid_field("accept", f"names {name!r}; what can be accepted is {', '.join(known)}")


def require_nothing_blocks(findings: Sequence[Finding], accepted: Collection[str], month: str) -> None:
    """Require that nothing keeps a month from being closed. Raises: ClosingBlocked, naming each point."""
    blocking = find_blocking(findings, accepted)
    if blocking:
        raise errors.ClosingBlocked(
            f"{month} cannot be closed: {'; '.join(each.told for each in blocking)}",
            errors=[errors.FieldError(each.name, each.told) for each in blocking],
        )
