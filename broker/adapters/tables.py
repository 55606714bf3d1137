"""The adapter registry: what training has made."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Adapter(Base):
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
    config: Mapped[dict[str, Any]]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
    deleted_at: Mapped[datetime | None] = moment_column(nullable=True)
