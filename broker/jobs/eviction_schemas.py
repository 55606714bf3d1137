"""API shapes of evictions: for whom a run made room, at which prices, what was lost, and who paid."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, created_at_field
from broker.jobs.reading.evictions import EvictionCard
from broker.jobs.rules.eviction_words import explain_eviction, name_evictor
from broker.jobs.rules.model import EvictionReason
from pricing.money import Money
from pricing.usage import Usage


class EvictionOut(BaseModel):
    """A run that made way: for another job, or since a limit of its queue or contract was lowered."""

    id: str = Field(description="Eviction id.", examples=["evi_01k"])
    object: Literal["eviction"] = Field(default="eviction", description="Kind of object.", examples=["eviction"])
    run_id: str = Field(description="The run that was told to save and stop.", examples=["run_01k"])
    reason: EvictionReason = Field(
        description="`guarantee`: what was lent of one came back; `discipline`: another goes first in its pool;"
        " `quota`: operations lowered a limit of its queue or contract.",
        examples=["guarantee"],
    )
    by: str = Field(description="Who needed the room; no other customer is named.", examples=["a guaranteed contract"])
    for_job_id: str | None = Field(description="For staff: the job that needed it.", examples=["job_01k"])
    for_contract_id: str | None = Field(description="For staff: its contract.", examples=["con_01k"])
    price: MoneyOut = Field(
        description="What a GPU-hour costs this job.", examples=[{"amount": "6.80", "currency": "CNY"}]
    )
    other_price: MoneyOut | None = Field(
        description="What it costs the other one; null: there is none.",
        examples=[{"amount": "4.00", "currency": "CNY"}],
    )
    expected_loss: MoneyOut | None = Field(
        description="For staff: what the stop was expected to lose, a restart among it.",
        examples=[{"amount": "0.12", "currency": "CNY"}],
    )
    lost_gpu_seconds: int | None = Field(
        description="GPU-seconds that were lost; null: its run still saves.", examples=[12]
    )
    lost_tokens: int | None = Field(description="Tokens that were lost.", examples=[1042])
    paid_by: Literal["house", "nobody"] | None = Field(
        description="Who pays for what was lost: the house, or nobody where nothing was; null: its run still saves.",
        examples=["house"],
    )
    ended_at: datetime | None = Field(
        description="When its run had stopped (UTC); null: it still saves.", examples=["2026-11-24T10:02:00Z"]
    )
    message: str = Field(description="All of it in a sentence.", examples=["It made room for a guaranteed contract…"])
    message_zh: str = Field(description="The same in Chinese.", examples=["已为一个有保障的合同让出资源…"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, card: EvictionCard, *, for_staff: bool) -> Self:
        row, lost = card.eviction, None if card.ended_at is None else card.lost
        reason = EvictionReason(row.reason)
        other_price = None if row.for_price_micros is None else Money(row.for_price_micros)
        message, message_zh = explain_eviction(reason, Money(row.price_micros), other_price, lost)
        return cls(
            id=row.id,
            run_id=row.run_id,
            reason=reason,
            by=name_evictor(reason),
            for_job_id=row.for_job_id if for_staff else None,
            for_contract_id=row.for_contract_id if for_staff else None,
            price=MoneyOut.of_micros(row.price_micros),
            other_price=None if other_price is None else MoneyOut.of(other_price),
            expected_loss=MoneyOut.of_micros(row.lost_micros) if for_staff and row.lost_micros is not None else None,
            lost_gpu_seconds=None if lost is None else lost.gpu_seconds,
            lost_tokens=None if lost is None else lost.tokens,
            paid_by=_name_payer(lost),
            ended_at=card.ended_at,
            message=message,
            message_zh=message_zh,
            created_at=row.created_at,
        )


def _name_payer(lost: Usage | None) -> Literal["house", "nobody"] | None:
    if lost is None:
        return None
    return "nobody" if lost == Usage() else "house"
