"""What cycles were planned from, record by record; and the simulations that ops asked for."""

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class RecordedCycle(Base):
    """What changed until a cycle, and whom it started (`CycleRecord`, as JSON). It is appended to, and swept by age.

    `size_bytes` is the length of the JSON; in the table it is compressed.
    """

    __tablename__ = "recorded_cycles"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    is_baseline: Mapped[bool]
    size_bytes: Mapped[int]
    record: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = moment_column(index=True)


class PlanningLeader(Base):
    """The process that keeps the line in memory: no other plans before `leads_until`. There is one row."""

    __tablename__ = "planning_leaders"

    name: Mapped[str] = mapped_column(primary_key=True)
    process_id: Mapped[str]
    leads_until: Mapped[datetime] = moment_column()


class QueueSimulation(Base):
    """A recorded window under what is proposed: asked for by ops, worked out in the background.

    `settings` are those of queues, pools and the contracts that it names when it was asked for; null: it is of before.
    `result` is there once `status` is done, `fault` once it is failed. `progress` is the share that is done, as of
    `began_at`, when a process took it up or told of it last.
    """

    __tablename__ = "queue_simulations"

    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    proposal: Mapped[dict[str, Any]] = mapped_column(JSONB)
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    begins_at: Mapped[datetime] = moment_column()
    ends_at: Mapped[datetime] = moment_column()
    result: Mapped[dict[str, Any] | None]
    fault: Mapped[str | None]
    progress: Mapped[float]
    began_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()
