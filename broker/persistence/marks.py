"""Marks: when the service did last what it must do again and again, and which process; for alarms, from any process.

A takeover is counted where another process does it than the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column

PLANNED, VERIFIED, RECONCILED = "planned", "verified", "reconciled"


class ServiceMark(Base):
    """What was done last, when, by which process; `value` is what came of it."""

    __tablename__ = "service_marks"

    name: Mapped[str] = mapped_column(primary_key=True)
    noted_at: Mapped[datetime] = moment_column()
    noted_by: Mapped[str]
    takeovers: Mapped[int]
    value: Mapped[int]


@dataclass(frozen=True)
class Mark:
    """A mark as it was read."""

    noted_at: datetime
    takeovers: int
    value: int


async def note_mark(session: AsyncSession, name: str, *, by: str, now: datetime, value: int = 0) -> None:
    """Note that a process has done something, and what came of it."""
    row = {"name": name, "noted_at": now, "noted_by": by, "takeovers": 0, "value": value}
    new = insert(ServiceMark).values(row)
    counted = ServiceMark.takeovers + case((ServiceMark.noted_by != by, 1), else_=0)
    changes = {"noted_at": now, "noted_by": by, "takeovers": counted, "value": value}
    await session.execute(new.on_conflict_do_update(index_elements=[ServiceMark.name], set_=changes))


async def read_marks(session: AsyncSession) -> Mapping[str, Mark]:
    """Read the marks by name; what was never done has none."""
    query = select(ServiceMark.name, ServiceMark.noted_at, ServiceMark.takeovers, ServiceMark.value)
    return {name: Mark(at, takeovers, value) for name, at, takeovers, value in await session.execute(query)}
