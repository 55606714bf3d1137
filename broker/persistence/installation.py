"""The installation: one row that says what all processes on one database must have in common.

A process with another secret signs run tokens that no other process accepts; one with another storage misses every file
that the others have stored; one with another public address sends its runs where nobody answers. Each of them would
burn jobs' attempts one after the other, so it does not start.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column

# The cost of one guess, some 50 ms: a secret that a person made up must not be guessed from a copy of the database.
SCRYPT = {"n": 2**14, "r": 8, "p": 1}


class Installation(Base):
    """The only row: a hash of the secret, the id of the storage, the public address once a process has named one."""

    __tablename__ = "installation"

    id: Mapped[str] = mapped_column(primary_key=True)
    secret_hash: Mapped[str]
    storage_id: Mapped[str]
    public_url: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()
    changed_at: Mapped[datetime] = moment_column()


@dataclass(frozen=True)
class OwnSettings:
    """What a process has: its secret and where from, its storage and the id found there, its address if it is set."""

    secret: bytes
    secret_source: str
    storage_place: str
    storage_id: str | None
    public_url: str | None


async def find_installation(session: AsyncSession) -> Installation | None:
    """Find the installation's row; None before the first start."""
    return (await session.scalars(select(Installation))).one_or_none()


def found_installation(own: OwnSettings, *, installation_id: str, storage_id: str, now: datetime) -> Installation:
    """Make the row of an installation that starts for the first time, or whose operator has changed what it has."""
    return Installation(
        id=installation_id,
        secret_hash=hash_secret(own.secret, installation_id),
        storage_id=storage_id,
        public_url=own.public_url,
        created_at=now,
        changed_at=now,
    )


def hash_secret(secret: bytes, installation_id: str) -> str:
    return hashlib.scrypt(secret, salt=installation_id.encode(), **SCRYPT).hex()


def find_differences(installation: Installation, own: OwnSettings) -> list[str]:
    """List what keeps a process from being one of the installation: each with its setting and the cure. Pure."""
    differences = []
    if hash_secret(own.secret, installation.id) != installation.secret_hash:
        differences.append(
            f"BROKER_SECRET_KEY: this process's secret ({own.secret_source}) is not the one that the other processes on"
            " this database sign with; give it theirs, or see `broker installation accept --help` to change it for all"
        )
    if own.storage_id != installation.storage_id:
        found = f"is another one ({own.storage_id})" if own.storage_id else "has no id: it is empty or not mounted"
        differences.append(
            f"BROKER_STORAGE_DIR: the files of this database are in storage {installation.storage_id};"
            f" {own.storage_place} {found}; name the folder that the other processes use"
        )
    if None not in (own.public_url, installation.public_url) and own.public_url != installation.public_url:
        differences.append(
            f"BROKER_PUBLIC_URL: is {own.public_url}, but the other processes on this database use"
            f" {installation.public_url}; set the same one, or leave it out"
        )
    return differences
