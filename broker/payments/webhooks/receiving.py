"""Events of providers: kept once by their id, taken by one process at a time, put off where they cannot be handled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from broker.payments.webhooks.tables import ReceivedEvent
from broker.work import Work

STRIPE = "stripe"
LEASE = timedelta(seconds=120)
FIRST_REST, LONGEST_REST = timedelta(seconds=5), timedelta(hours=1)
MOST_DOUBLINGS = 10


@dataclass(frozen=True)
class Event:
    """An event that is to be kept, as its provider signed it. `object_id` is the provider's id of what it is about."""

    provider: str
    event_id: str
    type: str
    object_id: str | None
    sent_at: datetime


@dataclass(frozen=True)
class TakenEvent:
    """An event that a process handles."""

    id: int
    type: str
    object_id: str | None


async def keep_event(work: Work, event: Event) -> bool:
    """Keep an event that waits to be handled; tells whether it is new."""
    row = {
        "provider": event.provider,
        "event_id": event.event_id,
        "type": event.type,
        "object_id": event.object_id,
        "failures": 0,
        "not_before": work.now,
        "sent_at": event.sent_at,
        "received_at": work.now,
    }
    statement = insert(ReceivedEvent).values(row).on_conflict_do_nothing().returning(ReceivedEvent.id)
    return await work.session.scalar(statement) is not None


async def take_event(work: Work, provider: str) -> TakenEvent | None:
    """Take the oldest event that is due, for as long as a process may need for it; None where there is none."""
    query = (
        select(ReceivedEvent)
        .where(
            ReceivedEvent.provider == provider,
            ReceivedEvent.handled_at.is_(None),
            ReceivedEvent.not_before <= work.now,
        )
        .order_by(ReceivedEvent.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await work.session.scalars(query)).one_or_none()
    if row is None:
        return None
    row.not_before = work.now + LEASE
    return TakenEvent(row.id, row.type, row.object_id)


async def mark_handled(work: Work, event_id: int) -> None:
    """Mark an event as handled, in the transaction that does what follows from it."""
    statement = update(ReceivedEvent).where(ReceivedEvent.id == event_id).values(handled_at=work.now, last_error=None)
    await work.session.execute(statement)


async def put_event_off(work: Work, event_id: int, error: str) -> None:
    """Put an event off that could not be handled."""
    row = await work.session.get_one(ReceivedEvent, event_id, with_for_update=True)
    row.failures += 1
    row.last_error = error
    row.not_before = work.now + min(FIRST_REST * 2 ** min(row.failures - 1, MOST_DOUBLINGS), LONGEST_REST)


async def list_stuck(work: Work, provider: str, *, before: datetime) -> Sequence[ReceivedEvent]:
    """List the events that were received before a moment and are not handled yet."""
    query = select(ReceivedEvent).where(
        ReceivedEvent.provider == provider, ReceivedEvent.handled_at.is_(None), ReceivedEvent.received_at < before
    )
    return (await work.session.scalars(query.order_by(ReceivedEvent.id).limit(100))).all()


async def count_waiting(work: Work, provider: str) -> int:
    query = select(func.count()).where(ReceivedEvent.provider == provider, ReceivedEvent.handled_at.is_(None))
    return int(await work.session.scalar(query) or 0)
