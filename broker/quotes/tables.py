"""Quotes: what a configuration on a data set will cost, good until they expire."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.capacity.start_forecasts import QueueStarts
from broker.persistence.database import Base, moment_column
from broker.persistence.documents import Document
from broker.quotes.checking.findings import QuotedFindings
from broker.quotes.costing.budget import MaxCostBuys
from broker.quotes.costing.gpu_types import (
    QuotedType,
    UnfitType,
    read_prices,
    read_types,
    write_prices,
    write_types,
)
from broker.quotes.costing.prices import PlanQuote
from broker.quotes.estimating.estimate import JobEstimate


class Quote(Base):
    """A priced estimate, tied to the hashes of its configuration and its data; `max_cost_buys` where one was asked.

    `estimate` and `prices` are those of the first GPU type that the job fits on, `other_types` the rest that pools
    have; null in quotes of before.
    """

    __tablename__ = "quotes"
    __table_args__ = ({"postgresql_with": {"toast_tuple_target": 8160}},)  # not packed: a job has copies, as they are

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))
    dataset_sha256: Mapped[str]
    config: Mapped[dict[str, Any]]
    config_hash: Mapped[str]
    estimate: Mapped[JobEstimate] = mapped_column(Document(JobEstimate.to_json, JobEstimate.from_json))
    prices: Mapped[list[PlanQuote]] = mapped_column(Document(write_prices, read_prices))
    other_types: Mapped[list[QuotedType | UnfitType] | None] = mapped_column(Document(write_types, read_types))
    expected_starts: Mapped[QueueStarts | None] = mapped_column(Document(QueueStarts.to_json, QueueStarts.from_json))
    max_cost_buys: Mapped[MaxCostBuys | None] = mapped_column(Document(MaxCostBuys.to_json, MaxCostBuys.from_json))
    findings: Mapped[QuotedFindings | None] = mapped_column(
        Document(QuotedFindings.to_json, QuotedFindings.from_json), nullable=True
    )
    rate_card_version: Mapped[str] = mapped_column(ForeignKey("rate_cards.version"))
    expires_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()

    @property
    def gpu_types(self) -> list[QuotedType | UnfitType]:
        """List the GPU types that pools had, the one that the estimate is of first."""
        return [QuotedType(self.estimate, self.prices), *(self.other_types or ())]
