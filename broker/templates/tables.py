"""Templates of projects, and their versions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column
from broker.persistence.documents import Document
from broker.templates.model import Bounds


def _write_bounds(may_change: Mapping[str, Bounds]) -> dict[str, Any]:
    return {key: bounds.to_json() for key, bounds in may_change.items()}


def _read_bounds(written: Mapping[str, Any]) -> dict[str, Bounds]:
    return {key: Bounds.from_json(bounds) for key, bounds in written.items()}


class Template(Base):
    """A template of a project. `newest` numbers its newest version; no new job is made from an archived one."""

    __tablename__ = "templates"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    newest: Mapped[int]
    archived_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()


class TemplateVersion(Base):
    """A version of a template, as it was made: the configuration, and what of it a job may change."""

    __tablename__ = "template_versions"

    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    config: Mapped[dict[str, Any]]
    may_change: Mapped[dict[str, Bounds]] = mapped_column(Document(_write_bounds, _read_bounds))
    note: Mapped[str | None]
    made_by: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
