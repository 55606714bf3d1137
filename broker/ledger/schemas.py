"""API shapes of balances."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, as_hours
from broker.ledger.balance import Balance
from pricing.money import Money


class BalanceOut(BaseModel):
    object: Literal["balance"] = Field(default="balance", description="Kind of object.", examples=["balance"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    as_of: datetime = Field(description="When it was read (UTC).", examples=["2026-11-24T10:00:00Z"])
    granted_gpu_hours: str = Field(description="Credited so far.", examples=["500.0000"])
    available_gpu_hours: str = Field(description="Free for new jobs.", examples=["499.9200"])
    held_gpu_hours: str = Field(description="Reserved by live jobs.", examples=["0.0500"])
    used_gpu_hours: str = Field(description="Captured, within grants and beyond.", examples=["0.0300"])
    available_gpu_seconds: int = Field(description="The exact unit of the above.", examples=[1799712])
    held_gpu_seconds: int = Field(description="The exact unit of the above.", examples=[180])
    used_gpu_seconds: int = Field(description="The exact unit of the above.", examples=[108])
    held_tokens: int = Field(description="Tokens reserved by live jobs.", examples=[12840])
    used_tokens: int = Field(description="Tokens captured.", examples=[12840])
    month: str = Field(description="The present billing month.", examples=["2026-11"])
    monthly_budget: MoneyOut | None = Field(
        description="The month's budget.", examples=[{"amount": "5000.00", "currency": "CNY"}]
    )
    budget_left: MoneyOut | None = Field(
        description="What of it is neither held nor used.", examples=[{"amount": "4990.00", "currency": "CNY"}]
    )
    held_money: MoneyOut = Field(
        description="Reserved by live jobs, to be invoiced.", examples=[{"amount": "1.16", "currency": "CNY"}]
    )
    used_money: MoneyOut = Field(
        description="Captured: invoiced, or to be invoiced.", examples=[{"amount": "1.16", "currency": "CNY"}]
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
            held_tokens=balance.held_tokens,
            used_tokens=balance.used_tokens,
            month=balance.month,
            monthly_budget=_optional(balance.budget),
            budget_left=_optional(balance.budget_left),
            held_money=MoneyOut.of(balance.held_money),
            used_money=MoneyOut.of(balance.used_money),
        )


def _optional(money: Money | None) -> MoneyOut | None:
    return None if money is None else MoneyOut.of(money)
