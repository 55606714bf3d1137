"""Closings: each is one attempt to close a month, with how far it is."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Closing(Base):
    """An attempt to close a month of the house; of each month at most one is running.

    `last_contract_id` is that of the last contract it has seen to, by their ids. `accepted` are the names of what may
    stay as it is; `refused` the months of contracts that could not be made final, each with why.
    """

    __tablename__ = "closings"
    __table_args__ = (Index("uq_closings_running", "month", unique=True, postgresql_where=text("status = 'running'")),)

    id: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    accepted: Mapped[list[Any]]
    author: Mapped[str]
    contracts_total: Mapped[int]
    contracts_done: Mapped[int]
    invoices_finalized: Mapped[int]
    last_contract_id: Mapped[str]
    refused: Mapped[list[Any]]
    created_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)
