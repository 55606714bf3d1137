"""The adapter registry: what training has made, and what of it is current at which stage."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Adapter(Base):
    """A trained adapter. `dataset_sha256` is of the data that it was trained on, which may be deleted since."""

    __tablename__ = "adapters"
    __table_args__ = (UniqueConstraint("customer_id", "name", "version"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    name: Mapped[str]
    version: Mapped[int]
    base_model: Mapped[str]
    dataset_id: Mapped[str | None]
    dataset_sha256: Mapped[str | None]
    config: Mapped[dict[str, Any]]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'"))
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    deleted_at: Mapped[datetime | None] = moment_column(nullable=True)


class AdapterRetention(Base):
    """How many of the newest versions of a name stay (0: all), as its customer says; no name: of all others."""

    __tablename__ = "adapter_retention"
    __table_args__ = (UniqueConstraint("customer_id", "name", postgresql_nulls_not_distinct=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    name: Mapped[str | None]
    kept_versions: Mapped[int]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime] = moment_column()


class AdapterPromotion(Base):
    """The record that a version became current of its name at a stage, or that none is: who said so, and why.

    `adapter_id` null: the name was taken from the stage. `before_id` was current until then; `undoes` is the promotion
    that this one takes back.
    """

    __tablename__ = "adapter_promotions"
    __table_args__ = (Index("ix_adapter_promotions_of_name", "customer_id", "name", "stage", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    stage: Mapped[str]
    adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id"))
    before_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id"))
    undoes: Mapped[str | None] = mapped_column(ForeignKey("adapter_promotions.id"))
    reason: Mapped[str | None]
    actor_role: Mapped[str]
    actor_id: Mapped[str]
    created_at: Mapped[datetime] = moment_column()


class AdapterStage(Base):
    """Which version of a name is current at a stage: one at most, by the promotion that made it so."""

    __tablename__ = "adapter_stages"
    __table_args__ = (UniqueConstraint("customer_id", "name", "stage"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    stage: Mapped[str]
    adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id"), index=True)
    promotion_id: Mapped[str] = mapped_column(ForeignKey("adapter_promotions.id"))
    changed_at: Mapped[datetime] = moment_column()
