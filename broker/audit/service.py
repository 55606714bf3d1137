"""Recording decisions, and reading the record."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Text, and_, cast, func, or_, select

from broker import errors
from broker.audit.tables import AuditEntry
from broker.http.decision import Decision
from broker.http.paging import fetch_page
from broker.persistence.database import narrow
from broker.work import Change, Work

log = logging.getLogger(__name__)

# A change of several jobs has them by their ids; one of a single object has its fields: a queue is called `priority`.
SEVERAL_JOBS = "jobs"


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


@dataclass(frozen=True)
class AuditFilter:
    """Which decisions are wanted; None: whichever. `object_id` finds decisions on several jobs by each of them, too.

    `text` stands anywhere in what was sent or changed, or in the names of action and object, in any case.
    """

    action: str | None = None
    object_id: str | None = None
    actor_id: str | None = None
    actor_role: str | None = None
    customer_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


def select_entries(wanted: AuditFilter) -> Select[AuditEntry]:
    """Select the decisions that are wanted: by what, by whom, from a moment on and before another."""
    columns = ("action", "actor_id", "actor_role", "customer_id")
    query = narrow(select(AuditEntry), **{name: getattr(wanted, name) for name in columns})
    if wanted.object_id is not None:
        is_of_several = AuditEntry.changed["kind"].as_string() == SEVERAL_JOBS
        of_several = and_(is_of_several, AuditEntry.changed["after"].has_key(wanted.object_id))
        query = query.where(or_(AuditEntry.object_id == wanted.object_id, of_several))
    if wanted.text is not None:
        told = (cast(AuditEntry.sent, Text), cast(AuditEntry.changed, Text), AuditEntry.action, AuditEntry.object_id)
        query = query.where(or_(*(each.icontains(wanted.text, autoescape=True) for each in told)))
    if wanted.since is not None:
        query = query.where(AuditEntry.created_at >= wanted.since)
    return query if wanted.until is None else query.where(AuditEntry.created_at < wanted.until)


async def read_page(
    work: Work, wanted: AuditFilter, *, limit: int, cursor: str | None
) -> tuple[list[AuditEntry], str | None]:
    """Read a page of the decisions that are wanted, the newest first, and the cursor of the next."""
    return await fetch_page(work.session, select_entries(wanted), AuditEntry, limit=limit, cursor=cursor)


async def list_undone(work: Work, entry_ids: Collection[str]) -> dict[str, str]:
    """List those of some decisions that were taken back, each with the decision that did so."""
    query = select(AuditEntry.undoes, AuditEntry.id).where(AuditEntry.undoes.in_(entry_ids))
    return {str(undone): by for undone, by in await work.session.execute(query)} if entry_ids else {}


async def get_entry(work: Work, entry_id: str) -> AuditEntry:
    """Get a decision. Raises: NotFound."""
    entry = await work.session.get(AuditEntry, entry_id)
    if entry is None:
        raise errors.NotFound("decision", entry_id)
    return entry


async def find_last_of(work: Work, actor_id: str, object_id: str | None) -> AuditEntry | None:
    """Find the last decision of somebody, on an object or whatever it was on."""
    query = select_entries(AuditFilter(actor_id=actor_id, object_id=object_id))
    return (await work.session.scalars(query.order_by(AuditEntry.id.desc()).limit(1))).one_or_none()


async def count_entries(work: Work, wanted: AuditFilter) -> int:
    """Count the decisions that are wanted."""
    return await work.session.scalar(select(func.count()).select_from(select_entries(wanted).subquery())) or 0


async def find_undoing(work: Work, entry_id: str) -> AuditEntry | None:
    """Find the decision that took another one back."""
    return (await work.session.scalars(select(AuditEntry).where(AuditEntry.undoes == entry_id))).one_or_none()
