"""Servers that serve what a stage has, and what each was told to serve of every name."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Environment(Base):
    """A server that serves what a stage has: of a customer, of one of its projects, or, of the house, of everybody.

    `options` are those of its kind. `token` is sealed: what authenticates us there, or signs what a webhook is sent.
    `looked_at` is when it was last asked what it serves, `answered_at` when it last answered, `error` why it did not.
    """

    __tablename__ = "environments"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"), index=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    stage: Mapped[str]
    kind: Mapped[str]
    url: Mapped[str]
    serves_as: Mapped[str]
    options: Mapped[dict[str, Any]]
    token: Mapped[str | None]
    is_of_staff: Mapped[bool]
    status: Mapped[str]
    looked_at: Mapped[datetime | None] = moment_column(nullable=True)
    answered_at: Mapped[datetime | None] = moment_column(nullable=True)
    error: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()
    removed_at: Mapped[datetime | None] = moment_column(nullable=True)


class EnvironmentPush(Base):
    """What an environment is to serve of a name (`adapter_id`; null: nothing), and what it is known to serve.

    `held` are the names under which it may hold something of it: those that are not wanted are unloaded. While a
    process pushes it, until `leased_until` at most, no other does. `changed_at` is when what is wanted was last said.
    """

    __tablename__ = "environment_pushes"
    __table_args__ = (
        UniqueConstraint("environment_id", "customer_id", "name"),
        Index("ix_environment_pushes_due", "not_before", postgresql_where=text("state IN ('pushing', 'failed')")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    environment_id: Mapped[str] = mapped_column(ForeignKey("environments.id"))
    environment_name: Mapped[str]
    name: Mapped[str]
    stage: Mapped[str]
    adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id"))
    live_adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id"))
    served_as: Mapped[str | None]
    held: Mapped[list[str]] = mapped_column(ARRAY(Text))
    state: Mapped[str]
    error: Mapped[str | None]
    attempts: Mapped[int]
    not_before: Mapped[datetime] = moment_column()
    leased_until: Mapped[datetime | None] = moment_column(nullable=True)
    live_at: Mapped[datetime | None] = moment_column(nullable=True)
    changed_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()
