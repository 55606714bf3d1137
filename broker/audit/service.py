"""Recording decisions, and reading the record."""

import logging
from typing import Any

from sqlalchemy import Select, select

from broker import errors
from broker.audit.tables import AuditEntry
from broker.http.decision import Decision
from broker.persistence.database import narrow
from broker.work import Change, Work

log = logging.getLogger(__name__)


async def record_decision(work: Work, decision: Decision) -> None:
    """Record a decision of the unit of work's actor; it is kept if what was decided is."""
    change = work.changes[-1] if work.changes else None
    object_id = decision.object_id if change is None else change.object_id
    entry = AuditEntry(
        id=work.new_id("aud"),
        customer_id=decision.customer_id,
        actor_role=work.actor.role.value,
        actor_id=work.actor.id,
        action=decision.action,
        object_id=object_id,
        sent=decision.sent,
        changed=None if change is None else write_change(change),
        undoes=None if change is None else change.undoes,
        created_at=work.now,
    )
    work.session.add(entry)
    await work.session.flush()
    log.info("%s %s: %s %s", work.actor.role.value, work.actor.id, decision.action, object_id or "")


def write_change(change: Change) -> dict[str, Any] | None:
    """Write a change as the record keeps it; None where it changed nothing."""
    if not change.after:
        return None
    return {"kind": change.kind, "id": change.object_id, "before": dict(change.before), "after": dict(change.after)}


def read_change(entry: AuditEntry) -> Change:
    """Read what a decision changed. Raises: NotUndoable, where the record does not say."""
    told = entry.changed
    if told is None:
        raise errors.NotUndoable(f"{entry.action} {entry.id} has nothing on record to put back; change it by hand.")
    return Change(told["kind"], told["id"], told["before"], told["after"])


def select_entries(**wanted: str | None) -> Select[AuditEntry]:
    """Select the decisions, all or those with these values in their columns."""
    return narrow(select(AuditEntry), **wanted)


async def get_entry(work: Work, entry_id: str) -> AuditEntry:
    """Get a decision. Raises: NotFound."""
    entry = await work.session.get(AuditEntry, entry_id)
    if entry is None:
        raise errors.NotFound("decision", entry_id)
    return entry


async def find_undoing(work: Work, entry_id: str) -> AuditEntry | None:
    """Find the decision that took another one back."""
    return (await work.session.scalars(select(AuditEntry).where(AuditEntry.undoes == entry_id))).one_or_none()
