"""API shapes of balances."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, as_hours
from broker.ledger.grants.coverage import MeterCoverage
from broker.ledger.reading.balance import Balance
from pricing.money import Money


class BalanceOut(BaseModel):
    object: Literal["balance"] = Field(default="balance", description="Kind of object.", examples=["balance"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    as_of: datetime = Field(description="By what was booked until then (UTC).", examples=["2026-11-24T10:00:00Z"])
    granted_gpu_hours: str = Field(description="Credited so far.", examples=["500.0000"])
    available_gpu_hours: str = Field(description="Free for new jobs.", examples=["499.9200"])
    held_gpu_hours: str = Field(description="Pending: reserved by live jobs.", examples=["0.0500"])
    used_gpu_hours: str = Field(description="Settled: captured, within grants and beyond.", examples=["0.0300"])
    available_gpu_seconds: int = Field(description="The exact unit of the above.", examples=[1799712])
    held_gpu_seconds: int = Field(description="The exact unit of the above.", examples=[180])
    used_gpu_seconds: int = Field(description="The exact unit of the above.", examples=[108])
    granted_tokens: int = Field(description="Tokens credited so far; more are sold at the price.", examples=[1_000_000])
    available_tokens: int = Field(description="Of these, free for new jobs.", examples=[974_320])
    held_tokens: int = Field(description="Tokens reserved by live jobs.", examples=[12840])
    used_tokens: int = Field(description="Tokens captured.", examples=[12840])
    month: str = Field(description="The billing month of that moment.", examples=["2026-11"])
    monthly_budget: MoneyOut | None = Field(
        description="The month's budget.", examples=[{"amount": "5000.00", "currency": "CNY"}]
    )
    budget_left: MoneyOut | None = Field(
        description="What of it is neither held nor used.", examples=[{"amount": "4990.00", "currency": "CNY"}]
    )
    held_money: MoneyOut = Field(
        description="Pending: reserved by live jobs, to be invoiced.", examples=[{"amount": "1.16", "currency": "CNY"}]
    )
    used_money: MoneyOut = Field(
        description="Settled: captured; invoiced, or to be invoiced.", examples=[{"amount": "1.16", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, contract_id: str, balance: Balance, as_of: datetime) -> "BalanceOut":
        return cls(
            contract_id=contract_id,
            as_of=as_of,
            granted_gpu_hours=as_hours(balance.granted_gpu_seconds),
            available_gpu_hours=as_hours(balance.available_gpu_seconds),
            held_gpu_hours=as_hours(balance.held_gpu_seconds),
            used_gpu_hours=as_hours(balance.used_gpu_seconds),
            available_gpu_seconds=balance.available_gpu_seconds,
            held_gpu_seconds=balance.held_gpu_seconds,
            used_gpu_seconds=balance.used_gpu_seconds,
            granted_tokens=balance.granted_tokens,
            available_tokens=balance.available_tokens,
            held_tokens=balance.held_tokens,
            used_tokens=balance.used_tokens,
            month=balance.month,
            monthly_budget=_optional(balance.budget),
            budget_left=_optional(balance.budget_left),
            held_money=MoneyOut.of(balance.held_money),
            used_money=MoneyOut.of(balance.used_money),
        )


class MeterCoverageOut(BaseModel):
    meter: Literal["gpu_seconds", "tokens"] = Field(description="The meter.", examples=["gpu_seconds"])
    granted: int = Field(description="Credited of all grants, less what was taken back.", examples=[1_800_000])
    left: int = Field(description="Free in the grants that are in force.", examples=[1_799_712])
    used_of_grants: int = Field(description="What grants have paid for.", examples=[108])
    used: int = Field(description="What the customer pays for, by grants or otherwise.", examples=[108])
    used_percent: str | None = Field(description="Used of what was granted, in per cent.", examples=["20.0"])
    covered_percent: str | None = Field(description="Of all usage what grants paid, in per cent.", examples=["95.5"])
    left_percent: str | None = Field(description="Left of what was granted, in per cent.", examples=["80.0"])
    days_left: str | None = Field(
        description="Days that the rest lasts at the pace of the last 30 days; null: nothing is used.",
        examples=["12.5"],
    )

    @classmethod
    def of(cls, meter: MeterCoverage) -> "MeterCoverageOut":
        shares = ("used_percent", "covered_percent", "left_percent", "days_left")
        written = {name: None if (share := getattr(meter, name)) is None else format(share, "f") for name in shares}
        counts = {name: getattr(meter, name) for name in ("meter", "granted", "left", "used_of_grants", "used")}
        return cls.model_validate({**counts, **written})


class CoverageOut(BaseModel):
    object: Literal["coverage"] = Field(default="coverage", description="Kind of object.", examples=["coverage"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    as_of: datetime = Field(description="When it was read (UTC).", examples=["2026-11-24T10:00:00Z"])
    meters: list[MeterCoverageOut] = Field(description="GPU-seconds, tokens.", examples=[[{"meter": "tokens"}]])

    @classmethod
    def of(cls, contract_id: str, meters: Sequence[MeterCoverage], as_of: datetime) -> "CoverageOut":
        return cls(contract_id=contract_id, as_of=as_of, meters=[MeterCoverageOut.of(meter) for meter in meters])


def _optional(money: Money | None) -> MoneyOut | None:
    return None if money is None else MoneyOut.of(money)
