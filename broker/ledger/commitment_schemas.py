"""API shape of a commitment."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, as_hours
from broker.ledger.grants.commitment import Commitment
from broker.ledger.grants.pace import DAY_SECONDS, compute_percent


class CommitmentOut(BaseModel):
    object: Literal["commitment"] = Field(default="commitment", description="Kind of object.", examples=["commitment"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    as_of: datetime = Field(description="When it was read (UTC).", examples=["2026-11-24T10:00:00Z"])
    starts_at: datetime = Field(
        description="Beginning of the period: the contract's term, or a year of it (UTC).",
        examples=["2026-11-01T00:00:00Z"],
    )
    ends_at: datetime = Field(description="End of the period (UTC).", examples=["2027-11-01T00:00:00Z"])
    true_up_month: str = Field(description="The billing month that charges what is unused.", examples=["2027-10"])
    committed_gpu_hours: str = Field(description="Committed in the period.", examples=["2000.0000"])
    used_gpu_hours: str = Field(
        description="Used of it: what invoices ask for, or, of hours paid ahead, all usage; and what was lost by our "
        "doing and came back when the period was over.",
        examples=["600.0000"],
    )
    carried_gpu_hours: str = Field(
        description="Used by earlier years of the term beyond what they had committed to: it counts for this one.",
        examples=["0.0000"],
    )
    used_percent: str | None = Field(description="Used of what is committed, in per cent.", examples=["30.0"])
    pace_gpu_hours_per_day: str = Field(description="Hours a day over the last 30 days.", examples=["20.0000"])
    expected_gpu_hours: str = Field(description="Used at the period's end at this pace.", examples=["1900.0000"])
    expected_percent: str | None = Field(description="The same in per cent of what is committed.", examples=["95.0"])
    committed_tokens: int = Field(
        description="Tokens committed to at signing; 0: each is paid as it is used, or ordered.", examples=[1_000_000]
    )
    used_tokens: int = Field(description="Tokens used in the period, whoever paid for them.", examples=[250_000])
    used_tokens_percent: str | None = Field(description="Used of the tokens committed to.", examples=["25.0"])
    pace_tokens_per_day: int = Field(description="Tokens a day over the last 30 days.", examples=[10_000])
    expected_tokens: int = Field(description="Used at the period's end at this pace.", examples=[900_000])
    true_up: MoneyOut = Field(
        description="What would be charged were the period over now; below zero where it gives back what an earlier "
        "year was charged for hours that were used since.",
        examples=[{"amount": "5600.00", "currency": "CNY"}],
    )
    expected_true_up: MoneyOut = Field(
        description="What will be charged at the period's end at this pace; nothing for hours that are paid ahead.",
        examples=[{"amount": "400.00", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, contract_id: str, commitment: Commitment, as_of: datetime) -> "CommitmentOut":
        attained, expected, tokens = commitment.attained, commitment.expected, commitment.tokens
        return cls(
            contract_id=contract_id,
            as_of=as_of,
            starts_at=commitment.period.starts_at,
            ends_at=commitment.period.ends_at,
            true_up_month=commitment.period.last_month,
            committed_gpu_hours=as_hours(attained.committed),
            used_gpu_hours=as_hours(attained.used),
            carried_gpu_hours=as_hours(commitment.carried),
            used_percent=_write(compute_percent(attained.used, attained.committed)),
            pace_gpu_hours_per_day=as_hours(commitment.pace.project(DAY_SECONDS)),
            expected_gpu_hours=as_hours(expected.used),
            expected_percent=_write(compute_percent(expected.used, attained.committed)),
            committed_tokens=tokens.committed,
            used_tokens=tokens.used,
            used_tokens_percent=_write(compute_percent(tokens.used, tokens.committed)),
            pace_tokens_per_day=tokens.pace.project(DAY_SECONDS),
            expected_tokens=tokens.expected,
            true_up=MoneyOut.of(commitment.charge(attained)),
            expected_true_up=MoneyOut.of(commitment.charge(expected)),
        )


def _write(share: Decimal | None) -> str | None:
    return None if share is None else format(share, "f")
