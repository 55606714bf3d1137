"""The outbox: what must be asked of an engine, written with the change that asks for it and relayed after the commit.

Relaying is at least once: every message is idempotent at its receiver.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Index,
    Text,
    all_,
    any_,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column, wake_dispatcher
from broker.persistence.driver import Command, Row, Statement
from broker.persistence.set_writes import command_inserts

LONGEST_RETRY_SECONDS = 60
MOST_DOUBLINGS = 6  # beyond the longest pause; an exponent without a limit overflows after a night of failures
BATCH = 100


class OutboxMessage(Base):
    """A message for an engine. `recipient` is the agent whose run it is, or a pool where no agent has it yet.

    `begun_at` is when a run was first asked to stop, by whichever process: its grace counts from there. Null: it was
    not yet, or the call failed.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_pending", "recipient", "id", postgresql_where=text("done_at IS NULL")),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    recipient: Mapped[str]
    kind: Mapped[str]
    run_id: Mapped[str]
    failures: Mapped[int]
    last_error: Mapped[str | None]
    not_before: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()
    begun_at: Mapped[datetime | None] = moment_column(nullable=True)
    done_at: Mapped[datetime | None] = moment_column(nullable=True)


@dataclass(frozen=True)
class PendingMessage:
    id: int
    kind: str
    run_id: str
    failures: int


async def enqueue(session: AsyncSession, *, recipient: str, kind: str, run_id: str, now: datetime) -> None:
    """Write a message inside the caller's transaction and wake the relay once it commits."""
    message = OutboxMessage(recipient=recipient, kind=kind, run_id=run_id, failures=0, not_before=now, created_at=now)
    session.add(message)
    await wake_dispatcher(session)


@dataclass(frozen=True)
class NewMessage:
    """A message to be written: for whom, what is asked, of which run."""

    recipient: str
    kind: str
    run_id: str


def command_messages(messages: Iterable[NewMessage], *, now: datetime) -> list[Command]:
    """Make the command that writes messages together; whoever sends it wakes the relay."""
    due = {"failures": 0, "not_before": now, "created_at": now}
    return command_inserts(OutboxMessage, [vars(message) | due for message in messages])


PENDING = Statement(
    select(OutboxMessage.id, OutboxMessage.kind, OutboxMessage.run_id, OutboxMessage.failures)
    .where(
        OutboxMessage.recipient == any_(bindparam("recipients", type_=ARRAY(Text))),
        OutboxMessage.done_at.is_(None),
        OutboxMessage.not_before <= bindparam("now", type_=DateTime(timezone=True)),
        OutboxMessage.id != all_(bindparam("under_way", type_=ARRAY(BigInteger))),
    )
    .order_by(OutboxMessage.id)
    .limit(bindparam("most", type_=BigInteger))
)
MARK_DONE = Statement(
    update(OutboxMessage)
    .where(OutboxMessage.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
    .values(done_at=bindparam("now", type_=DateTime(timezone=True))),
    planned_once=True,
)


# The runs of any recipient that are being stopped.
UNSTOPPED = select(OutboxMessage.run_id).where(OutboxMessage.kind == "stop", OutboxMessage.done_at.is_(None))


def find_pending(recipients: Collection[str], *, now: datetime, under_way: Collection[int] = ()) -> Command:
    """Make the command that finds the messages of these recipients that are due and not under way, oldest first."""
    asked = {"recipients": list(recipients), "now": now, "under_way": list(under_way), "most": BATCH}
    return Command(PENDING, asked)


def read_pending(rows: Iterable[Row]) -> list[PendingMessage]:
    """Read the messages from the rows of `find_pending`."""
    return [PendingMessage(*row) for row in rows]


@dataclass(frozen=True)
class Pending:
    """How many messages are not delivered yet, and since when the oldest waits."""

    count: int = 0
    oldest_at: datetime | None = None


async def add_up_pending(session: AsyncSession) -> Pending:
    """Add up what is not delivered yet, whoever it is for."""
    query = select(func.count(), func.min(OutboxMessage.created_at)).where(OutboxMessage.done_at.is_(None))
    count, oldest_at = (await session.execute(query)).one()
    return Pending(count, oldest_at)


UNLAUNCHED = Statement(
    select(OutboxMessage.run_id).where(
        OutboxMessage.recipient == any_(bindparam("recipients", type_=ARRAY(Text))),
        OutboxMessage.kind == "launch",
        OutboxMessage.done_at.is_(None),
    )
)


def find_unlaunched(recipients: Collection[str]) -> Command:
    """Make the command that finds the runs of these recipients whose launch has not been relayed yet."""
    return Command(UNLAUNCHED, {"recipients": list(recipients)})


async def list_unstopped(session: AsyncSession) -> set[str]:
    """List the runs of any recipient that are being stopped: their processes may still hold devices."""
    return set((await session.scalars(UNSTOPPED)).all())


def command_done(message_ids: Collection[int], *, now: datetime) -> Command:
    """Make the command that marks messages as done."""
    return Command(MARK_DONE, {"ids": list(message_ids), "now": now})


async def begin_stop(session: AsyncSession, run_id: str, *, now: datetime) -> datetime:
    """Note that a run is asked to stop now; tells when it first was, where that is still under way."""
    begun = (
        update(OutboxMessage)
        .where(OutboxMessage.run_id == run_id, OutboxMessage.kind == "stop", OutboxMessage.done_at.is_(None))
        .values(begun_at=func.coalesce(OutboxMessage.begun_at, now))
        .returning(OutboxMessage.begun_at)
    )
    moments = [moment for moment in await session.scalars(begun) if moment is not None]
    return min(moments, default=now)


async def mark_failed(session: AsyncSession, message_id: int, error: str, *, now: datetime) -> None:
    """Count a failure and put the message off: by 1 s, 2 s, 4 s … at most a minute."""
    doubled = func.power(2, func.least(OutboxMessage.failures, MOST_DOUBLINGS))
    delay = func.make_interval(0, 0, 0, 0, 0, 0, func.least(doubled, LONGEST_RETRY_SECONDS))
    await session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == message_id)
        .values(failures=OutboxMessage.failures + 1, last_error=error[:2000], not_before=now + delay, begun_at=None)
    )


async def forget_done(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete some messages that were done before a moment; returns how many."""
    done = select(OutboxMessage.id).where(OutboxMessage.done_at < before).limit(limit)
    deleted = await session.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(done)).returning(OutboxMessage.id))
    return len(deleted.all())
