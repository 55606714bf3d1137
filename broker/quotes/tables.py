"""Quotes: what a configuration on a data set will cost, good until they expire."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Quote(Base):
    """A priced estimate, tied to the hashes of its configuration and its data; `max_cost_buys` where it was asked."""

    __tablename__ = "quotes"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))
    dataset_sha256: Mapped[str]
    config: Mapped[dict[str, Any]]
    config_hash: Mapped[str]
    estimate: Mapped[dict[str, Any]]
    prices: Mapped[list[Any]]
    max_cost_buys: Mapped[dict[str, Any] | None]
    rate_card_version: Mapped[str] = mapped_column(ForeignKey("rate_cards.version"))
    expires_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()
