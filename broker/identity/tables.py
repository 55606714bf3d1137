"""Customers, their projects and API keys."""

from datetime import datetime

from sqlalchemy import ARRAY, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Customer(Base):
    """A customer. `requests_per_minute` is what each of its keys may send that has no limit of its own, and
    `storage_limit_bytes` what it may store of what it sends; 0: any, None: as the broker is set.

    `verification` is how far it is known who it is (实名, `verification.py`): by which name and number, since when.
    """

    __tablename__ = "customers"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    requests_per_minute: Mapped[int | None]
    storage_limit_bytes: Mapped[int | None]
    verification: Mapped[str] = mapped_column(default="unverified", server_default="unverified")
    verified_name: Mapped[str | None]
    verification_number: Mapped[str | None]
    verification_note: Mapped[str | None]
    verified_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()


class Project(Base):
    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("customer_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = moment_column()


class ApiKey(Base):
    """An API key; one of staff has no customer. Only the hash of the key is kept; the prefix tells keys apart.

    `last_used_at` is to the minute, and written up to a minute late (`key_uses.py`).
    A key that `is_confined` acts within the projects alone of which it is a member; that never changes either.
    `scopes` never change: None for all that the role may. `replaces` is the key that it was made to take the place of.
    `requests_per_minute` is its own limit; None: its customer's, or the usual one; 0: none.
    Units: `max_cost_micros` is what a job ordered through a facade may cost where its order does not say; micro-yuan.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"), index=True)
    role: Mapped[str]
    name: Mapped[str]
    prefix: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    max_cost_micros: Mapped[int | None]
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    requests_per_minute: Mapped[int | None]
    is_confined: Mapped[bool] = mapped_column(default=False)
    replaces: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"), unique=True)
    expires_at: Mapped[datetime | None] = moment_column(nullable=True)
    revoked_at: Mapped[datetime | None] = moment_column(nullable=True)
    last_used_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()


class Session(Base):
    """A session of the console: its bearer acts as the key that it was begun with, until it or the key ends."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), index=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime] = moment_column(index=True)
    created_at: Mapped[datetime] = moment_column()


class ProjectMember(Base):
    """A key that is a member of a project: a `viewer` looks, a `member` acts."""

    __tablename__ = "project_members"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), primary_key=True, index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = moment_column()


class Person(Base):
    """Somebody who signs in by OpenID Connect, of a customer or of staff, and acts as a key that nobody holds.

    `issuer` and `subject` are who the provider says it is, once it has signed in; until then it is invited by its mail.
    """

    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"), index=True)
    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), unique=True)
    email: Mapped[str] = mapped_column(unique=True)
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    signed_in_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()
