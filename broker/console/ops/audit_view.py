"""Decisions of staff as rows: who, what, on what, why, what it changed, and whether it was taken back. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

MOST_CHANGES = 6
# What was sent is no news where the record has what changed; a reason is told by itself.
LONGEST_VALUE = 60


class Entry(Protocol):
    """What of a decision on record is shown."""

    @property
    def id(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def object_id(self) -> str | None: ...
    @property
    def actor_role(self) -> str: ...
    @property
    def actor_id(self) -> str: ...
    @property
    def sent(self) -> Mapping[str, Any]: ...
    @property
    def changed(self) -> Mapping[str, Any] | None: ...
    @property
    def undoes(self) -> str | None: ...
    @property
    def created_at(self) -> datetime: ...


@dataclass(frozen=True)
class ChangeOf:
    """A field that a decision changed, before and after."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class DecisionRow:
    """A decision. `undone_by` took it back; `can_undo`: nobody has, and the record has what was before."""

    id: str
    at: datetime
    action: str
    object_id: str | None
    object_name: str | None
    href: str | None
    actor: str
    actor_id: str
    actor_role: str
    reason: str
    changes: tuple[ChangeOf, ...]
    more: int
    undoes: str | None
    undone_by: str | None
    can_undo: bool


UNDOABLE = frozenset({"queue", "pool", "job", "jobs", "contract_quota", "simulation"})


def list_decisions(
    entries: Iterable[Entry],
    undone: Mapping[str, str],
    names: Mapping[str, str],
    objects: Mapping[str, str] | None = None,
) -> list[DecisionRow]:
    """List decisions with the names of the keys that made them, and of what they were on, where that has one."""
    return [_make_row(entry, undone.get(entry.id), names, objects or {}) for entry in entries]


def _make_row(entry: Entry, undone_by: str | None, names: Mapping[str, str], objects: Mapping[str, str]) -> DecisionRow:
    changed = entry.changed or {}
    before, after = changed.get("before", {}), changed.get("after", {})
    changes = tuple(
        ChangeOf(name, _write(before.get(name)), _write(after[name])) for name in list(after)[:MOST_CHANGES]
    )
    return DecisionRow(
        id=entry.id,
        at=entry.created_at,
        action=entry.action,
        object_id=entry.object_id,
        object_name=objects.get(entry.object_id or "", entry.object_id),
        href=find_page(changed.get("kind"), entry.object_id),
        actor=names.get(entry.actor_id, entry.actor_id),
        actor_id=entry.actor_id,
        actor_role=entry.actor_role,
        reason=str(entry.sent.get("reason") or ""),
        changes=changes,
        more=max(0, len(after) - MOST_CHANGES),
        undoes=entry.undoes,
        undone_by=undone_by,
        can_undo=changed.get("kind") in UNDOABLE and undone_by is None,
    )


def _write(value: object) -> str:
    if value is None or value == []:
        return "—"
    written = str(value)
    return written if len(written) <= LONGEST_VALUE else f"{written[:LONGEST_VALUE]}…"


def find_page(kind: str | None, object_id: str | None) -> str | None:
    """Find the page of what a decision was on; None where there is none."""
    pages = {
        "queue": "/console/ops/queues/{}",
        "job": "/console/ops/jobs/{}/why",
        "pool": "/console/ops/pools?tile={0}/{0}",
        "contract_quota": "/console/ops/shares?contract_id={}",
        "simulation": "/console/ops/what-if/{}",
    }
    return pages[kind].format(object_id) if kind in pages and object_id is not None else None
