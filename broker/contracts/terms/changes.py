"""Changes of a contract's terms, each from a moment on: what they are, and how a row keeps them. Pure.

What was rated before a change stays as it was: whoever asks a contract for its terms says of which moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class CommitmentPoint:
    """What a contract commits to from a moment on, in GPU-seconds: `total` in the whole of its term.

    `former` of what it had committed to belonged to the time before; `reached` of what it commits to now does: the
    same, or nothing where a new plan begins a commitment of its own. `former` None: until then the contract had no end
    and committed anew each year, as it goes on to do.
    """

    former: Fraction | None
    reached: Fraction
    total: int

    def to_json_dict(self) -> dict[str, Any]:
        former = None if self.former is None else str(self.former)
        return {"former": former, "reached": str(self.reached), "total": self.total}

    @classmethod
    def from_json_dict(cls, document: Mapping[str, Any]) -> "CommitmentPoint":
        former = document["former"]
        return cls(None if former is None else Fraction(former), Fraction(document["reached"]), document["total"])


@dataclass(frozen=True)
class TermsChange:
    """New values of some terms, by the names that `ContractTerms` has for them, from a moment on.

    `amendment_id` is what made it; `names` are of all that the amendment changed, also of the contract as a whole.
    `commitment` is what is committed to from then on, where that is another.
    """

    effective_at: datetime
    values: Mapping[str, Any]
    amendment_id: str | None = None
    of_the_whole: tuple[str, ...] = ()
    commitment: CommitmentPoint | None = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset((*self.values, *self.of_the_whole))

    def to_json_dict(self) -> dict[str, Any]:
        """Write the change as JSON."""
        written = {
            "effective_at": self.effective_at.isoformat(),
            "values": {name: _write(value) for name, value in self.values.items()},
            "amendment_id": self.amendment_id,
            "of_the_whole": list(self.of_the_whole),
        }
        return written if self.commitment is None else written | {"commitment": self.commitment.to_json_dict()}


def _write(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, tuple):
        return [_write(part) for part in value]
    if is_dataclass(value):
        return {part.name: _write(getattr(value, part.name)) for part in fields(value)}
    return value


def read_changes(
    document: Sequence[Mapping[str, Any]], readers: Mapping[str, Any], signed: TermsChange
) -> tuple[TermsChange, ...]:
    """Read a row's changes, what was signed first; none where nothing has changed since.

    `readers` make values out of JSON, for the terms that are more than a text, a number, a truth or nothing.
    """
    if not document:
        return ()
    changes = [
        TermsChange(
            datetime.fromisoformat(each["effective_at"]),
            {name: _read(readers, name, value) for name, value in each["values"].items()},
            each.get("amendment_id"),
            tuple(each.get("of_the_whole", ())),
            CommitmentPoint.from_json_dict(each["commitment"]) if "commitment" in each else None,
        )
        for each in document
    ]
    return (signed, *changes)


def _read(readers: Mapping[str, Any], name: str, value: Any) -> Any:
    return value if value is None or name not in readers else readers[name](value)


def find_values(changes: Sequence[TermsChange], moment: datetime) -> dict[str, Any]:
    """Find the values in force at a moment; before all changes those that were signed count."""
    values: dict[str, Any] = {}
    for position, change in enumerate(changes):
        if position == 0 or change.effective_at <= moment:
            values |= change.values
    return values
