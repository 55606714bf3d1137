"""What was deleted because its customer asked for it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class CustomerDeletion(Base):
    """A customer's order to delete what it has made. `entries`: kind, id, hash, bytes and storage key of each file.

    Of what had something sealed: kind, id and name.
    """

    __tablename__ = "customer_deletions"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    actor_id: Mapped[str]
    entries: Mapped[list[Any]]
    created_at: Mapped[datetime] = moment_column()
