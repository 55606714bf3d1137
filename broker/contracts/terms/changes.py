"""Changes of a contract's terms, each from a moment on: what they are, and how a row keeps them. Pure.

What was rated before a change stays as it was: whoever asks a contract for its terms says of which moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class TermsChange:
    """New values of some terms, by the names that `ContractTerms` has for them, from a moment on.

    `amendment_id` is what made it; `names` are of all that the amendment changed, also of the contract as a whole.
    """

    effective_at: datetime
    values: Mapping[str, Any]
    amendment_id: str | None = None
    of_the_whole: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset((*self.values, *self.of_the_whole))

    def to_json_dict(self) -> dict[str, Any]:
        """Write the change as JSON."""
        return {
            "effective_at": self.effective_at.isoformat(),
            "values": {name: _write(value) for name, value in self.values.items()},
            "amendment_id": self.amendment_id,
            "of_the_whole": list(self.of_the_whole),
        }


def _write(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
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
