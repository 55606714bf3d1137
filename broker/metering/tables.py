"""Usage events, the evidence under every charge, with the keys that they are known by and their sums by the hour; usage
in quarantine; and the sources that report usage from outside, with their streams.

Events, keys and what is in quarantine are never updated or deleted (a trigger refuses it). Events and keys have no
foreign keys: at 500 events a batch their checks would take longer than all else, and whoever stores an event has found
its contract, job and run in the same transaction.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, DateTime, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class UsageSource(Base):
    """Who may report usage from outside, as its events' `source` names it; of one customer, or of all."""

    __tablename__ = "usage_sources"

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"))
    open: Mapped[bool]
    created_at: Mapped[datetime] = moment_column()


class UsageStream(Base):
    """What one source reports under one contract, of one project and GPU type: it stands where a job and its run do.

    The ledger knows it as the job and the run of a standing hold. `last_sequence` is the number of its last event.
    """

    __tablename__ = "usage_streams"
    __table_args__ = (
        UniqueConstraint("contract_id", "source", "project_id", "gpu_type", postgresql_nulls_not_distinct=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    source: Mapped[str]
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    gpu_type: Mapped[str | None]
    last_sequence: Mapped[int]
    created_at: Mapped[datetime] = moment_column()


class UsageEventKey(Base):
    """The name of an event that was accepted, for ever: rated or in quarantine, it is taken once.

    `digest` is the MD5 of the event as JSONB: the same name with another content is a conflict. Partitioned by hash,
    since the events themselves are partitioned by month.
    """

    __tablename__ = "usage_event_keys"
    __table_args__ = {"postgresql_partition_by": "HASH (source, event_id)"}  # noqa: RUF012 (as SQLAlchemy reads it)

    source: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    digest: Mapped[UUID]
    ended_at: Mapped[datetime] = moment_column()


class UsageEvent(Base):
    """One interval of one run, or one event of a stream, as it was reported; `event` is the CloudEvent itself.

    `run_id` and `sequence`: the run and the number of its interval, or the stream and the number of its event; captures
    name them so. `checkpoint_step`: it ends where the checkpoint of this step was written. Whether that one is durable,
    and so keeps what was used up to here, is for the table of checkpoints to say. `corrects`: it is the difference,
    below zero too, that a correction makes to the earlier event of its source with this id.

    Partitioned by the month (UTC) of `ended_at`.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        CheckConstraint("corrects IS NOT NULL OR (gpu_seconds >= 0 AND tokens >= 0)", name="not_negative"),
        Index("ix_usage_events_run", "run_id", "sequence"),
        Index("ix_usage_events_customer_ended", "customer_id", "ended_at"),
        {"postgresql_partition_by": "RANGE (ended_at)"},
    )

    source: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    run_id: Mapped[str]
    sequence: Mapped[int]
    customer_id: Mapped[str]
    contract_id: Mapped[str]
    project_id: Mapped[str | None]
    job_id: Mapped[str | None] = mapped_column(index=True)
    gpu_type: Mapped[str | None]
    labels: Mapped[dict[str, Any]]
    gpu_seconds: Mapped[int]
    tokens: Mapped[int]
    started_at: Mapped[datetime] = moment_column()
    checkpoint_step: Mapped[int | None]
    corrects: Mapped[str | None]
    event: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = moment_column()


class UsageRollup(Base):
    """The sum of the usage events of one hour (UTC), kept beside them in the same transaction. '' stands for none.

    `source` is that of usage from outside; runs have none, but a job. `labels_digest` stands for the labels in the key:
    an entry of an index has no room for all that they may be.
    """

    __tablename__ = "usage_rollups"
    __table_args__ = (Index("ix_usage_rollups_customer_hour", "customer_id", "hour"),)

    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    contract_id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    gpu_type: Mapped[str] = mapped_column(primary_key=True)
    labels_digest: Mapped[UUID] = mapped_column(Computed("(md5(labels::text))::uuid", persisted=True), primary_key=True)
    labels: Mapped[dict[str, Any]]
    customer_id: Mapped[str]
    gpu_seconds: Mapped[int]
    tokens: Mapped[int]
    events: Mapped[int]


class QuarantinedUsage(Base):
    """One event that is not believed, or that nothing pays for: kept as it came, charged to nobody.

    `reason` is a `broker.metering.events.evidence.Doubt`. A key is either that of an event here or of one that was
    rated. `run_id` and `sequence` are those of a run's interval; what came from outside has none.
    """

    __tablename__ = "quarantined_usage"
    __table_args__ = (UniqueConstraint("run_id", "sequence"), UniqueConstraint("source", "event_id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    event_id: Mapped[str]
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"), index=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    sequence: Mapped[int | None]
    reason: Mapped[str] = mapped_column(index=True)
    gpu_seconds: Mapped[int]
    tokens: Mapped[int]
    started_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime] = moment_column()
    event: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = moment_column()


class QuarantineDecision(Base):
    """What became of an event in quarantine: charged after all, or dismissed, by whom and why. It stands for ever."""

    __tablename__ = "quarantine_decisions"

    quarantine_id: Mapped[str] = mapped_column(ForeignKey("quarantined_usage.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    decision: Mapped[str]
    reason: Mapped[str | None]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime] = moment_column()
