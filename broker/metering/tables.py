"""Usage events, the evidence under every charge, and usage in quarantine. Neither is ever updated or deleted (a trigger
refuses it).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class UsageEvent(Base):
    """One interval of one run, as the worker reported it; `event` is the CloudEvent itself.

    `checkpoint_step`: it ends where the checkpoint of this step was written. Whether that one is durable, and so keeps
    what was used up to here, is for the table of checkpoints to say.
    """

    __tablename__ = "usage_events"
    __table_args__ = (CheckConstraint("gpu_seconds >= 0 AND tokens >= 0", name="not_negative"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    gpu_seconds: Mapped[int]
    tokens: Mapped[int]
    started_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime] = moment_column()
    checkpoint_step: Mapped[int | None]
    event: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = moment_column()


class QuarantinedUsage(Base):
    """One interval of one run that is not believed, or that nothing pays for: kept as it came, charged to nobody.

    `reason` is a `broker.metering.evidence.Doubt`. A run's number is either here or among the usage events.
    """

    __tablename__ = "quarantined_usage"
    __table_args__ = (UniqueConstraint("run_id", "sequence"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    sequence: Mapped[int]
    reason: Mapped[str] = mapped_column(index=True)
    gpu_seconds: Mapped[int]
    tokens: Mapped[int]
    started_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime] = moment_column()
    event: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = moment_column()
