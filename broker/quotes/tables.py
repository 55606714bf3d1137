"""Quotes: what a configuration on a data set will cost, good until they expire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column
from broker.persistence.documents import Document
from broker.quotes.checking.findings import QuotedFindings
from broker.quotes.costing.budget import MaxCostBuys
from broker.quotes.costing.prices import PlanQuote
from broker.quotes.estimating.estimate import JobEstimate
from pricing.plans import PlanName


def _write_prices(prices: Sequence[PlanQuote]) -> list[dict[str, Any]]:
    return [price.to_json() for price in prices]


def _read_prices(written: Sequence[Mapping[str, Any]]) -> list[PlanQuote]:
    return [PlanQuote.from_json(price) for price in written]


class Quote(Base):
    """A priced estimate, tied to the hashes of its configuration and its data; `max_cost_buys` where one was asked."""

    __tablename__ = "quotes"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))
    dataset_sha256: Mapped[str]
    config: Mapped[dict[str, Any]]
    config_hash: Mapped[str]
    estimate: Mapped[JobEstimate] = mapped_column(Document(JobEstimate.to_json, JobEstimate.from_json))
    prices: Mapped[list[PlanQuote]] = mapped_column(Document(_write_prices, _read_prices))
    max_cost_buys: Mapped[MaxCostBuys | None] = mapped_column(Document(MaxCostBuys.to_json, MaxCostBuys.from_json))
    findings: Mapped[QuotedFindings | None] = mapped_column(
        Document(QuotedFindings.to_json, QuotedFindings.from_json), nullable=True
    )
    rate_card_version: Mapped[str] = mapped_column(ForeignKey("rate_cards.version"))
    expires_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()

    def price_on(self, plan: PlanName) -> PlanQuote:
        """Pick the price on one plan, as the quote shows it."""
        (price,) = (price for price in self.prices if price.plan == plan)
        return price
