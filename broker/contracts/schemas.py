"""API shapes of contracts and their balances."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from broker.contracts.model import ContractTerms, Overage, QuoteGuarantee
from broker.http.shapes import Moment, MoneyOut, RequestBody
from broker.ledger.service import Balance
from broker.quotes.model import as_hours
from pricing.money import Money
from pricing.plans import PlanName


class ContractIn(RequestBody):
    customer_id: str = Field(description="Whose contract it is.", examples=["cus_01k"])
    plan: PlanName = Field(
        description="on_demand, prepaid (from 500 GPU-hours), long_term (from 2000).", examples=["prepaid"]
    )
    committed_gpu_hours: int = Field(
        default=0, ge=0, le=100_000_000, description="Contracted volume in GPU-hours.", examples=[500]
    )
    starts_at: Moment | None = Field(
        default=None, description="In force from then on (UTC); default: now.", examples=["2026-11-01T00:00:00Z"]
    )
    ends_at: Moment | None = Field(
        default=None, description="In force until then; null: without end.", examples=["2027-11-01T00:00:00Z"]
    )
    overage: Overage | None = Field(
        default=None,
        description="Usage beyond the grant: `bill` it at the plan's price or `refuse` it. Default: prepaid refuses.",
        examples=["refuse"],
    )
    quote_guarantee: QuoteGuarantee = Field(
        default=QuoteGuarantee.PAUSE,
        description="A job that reaches its quote: `pause` it until the customer raises it, or `cap` what it costs.",
        examples=["cap"],
    )
    monthly_budget: Decimal | None = Field(
        default=None,
        gt=0,
        max_digits=15,
        decimal_places=6,
        description="Most that a month's usage may add to invoices, in yuan; null: no limit.",
        examples=["5000.00"],
    )


class ContractOut(BaseModel):
    id: str = Field(description="Contract id.", examples=["con_01k"])
    object: Literal["contract"] = Field(default="contract", description="Kind of object.", examples=["contract"])
    customer_id: str = Field(description="Whose contract it is.", examples=["cus_01k"])
    plan: PlanName = Field(description="The plan.", examples=["prepaid"])
    committed_gpu_hours: int = Field(description="Contracted volume in GPU-hours.", examples=[500])
    gpu_hour_price: str = Field(description="Yuan per GPU-hour.", examples=["5.2"])
    token_price: str = Field(description="Yuan per token.", examples=["0.00009"])
    rate_card_version: str = Field(description="The rate card it was signed on.", examples=["2026-01-01"])
    queue: str = Field(description="The queue of its jobs.", examples=["priority"])
    overage: Overage = Field(description="What becomes of usage beyond the grant.", examples=["refuse"])
    quote_guarantee: QuoteGuarantee = Field(
        description="What becomes of a job that reaches its quote.", examples=["pause"]
    )
    monthly_budget: MoneyOut | None = Field(
        description="Most that a month may add to invoices.", examples=[{"amount": "5000.00", "currency": "CNY"}]
    )
    time_zone: str = Field(description="Its billing months follow it.", examples=["Asia/Shanghai"])
    starts_at: datetime = Field(description="In force from then on (UTC).", examples=["2026-11-01T00:00:00Z"])
    ends_at: datetime | None = Field(description="In force until then (UTC).", examples=["2027-11-01T00:00:00Z"])

    @classmethod
    def of(cls, terms: ContractTerms) -> "ContractOut":
        budget = terms.monthly_budget_micros
        return cls(
            id=terms.id,
            customer_id=terms.customer_id,
            plan=terms.plan,
            committed_gpu_hours=terms.committed_gpu_hours,
            gpu_hour_price=format(terms.gpu_hour_price, "f"),
            token_price=format(terms.token_price, "f"),
            rate_card_version=terms.card.version,
            queue=terms.home_queue,
            overage=terms.overage,
            quote_guarantee=terms.quote_guarantee,
            monthly_budget=None if budget is None else MoneyOut.of_micros(budget),
            time_zone=terms.time_zone,
            starts_at=terms.starts_at,
            ends_at=terms.ends_at,
        )


class SignedContractOut(ContractOut):
    advance_invoice_id: str | None = Field(
        description="To be paid before its hours can be used; null: nothing to pay ahead.", examples=["inv_01k"]
    )


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
        description="Captured, to be invoiced or invoiced.", examples=[{"amount": "1.16", "currency": "CNY"}]
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
