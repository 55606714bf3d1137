"""API shapes of contracts."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.contracts.tables import ContractEvent
from broker.contracts.terms.agreed import DEFAULT_ARREARS, ContractStatus, Finalizing, GuaranteedGpus, TrueUpRule
from broker.contracts.terms.model import CardChoice, ContractTerms, Overage, QuoteGuarantee
from broker.http.shapes import MoneyOut, RequestBody, created_at_field
from pricing.plans import PlanName
from pricing.tax import TaxMode

DEFAULT_ARREARS_EXAMPLE = {"grace_days": 7, "suspended_days": 15, "retention_days": 30}
MOST_DAYS = 365


class ArrearsShape(RequestBody):
    """How long each state of arrears lasts, in days."""

    grace_days: int = Field(
        default=DEFAULT_ARREARS.grace_days, ge=0, le=MOST_DAYS, description="All goes on as before.", examples=[7]
    )
    suspended_days: int = Field(
        default=DEFAULT_ARREARS.suspended_days, ge=0, le=MOST_DAYS, description="Nothing new runs.", examples=[15]
    )
    retention_days: int = Field(
        default=DEFAULT_ARREARS.retention_days, ge=0, le=MOST_DAYS, description="What is kept stays.", examples=[30]
    )


class GuaranteedGpusOut(BaseModel):
    """GPUs of one type that a contract may always have."""

    gpu_type: str = Field(description="Their type.", examples=["rtx-4090"])
    gpus: int = Field(description="How many.", examples=[4])
    monthly_price: MoneyOut = Field(
        description="For one of them and a billing month.", examples=[{"amount": "900.00", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, each: GuaranteedGpus) -> "GuaranteedGpusOut":
        return cls(gpu_type=each.gpu_type, gpus=each.gpus, monthly_price=MoneyOut.of_micros(each.price_micros))


class ContractOut(BaseModel):
    id: str = Field(description="Contract id.", examples=["con_01k"])
    object: Literal["contract"] = Field(default="contract", description="Kind of object.", examples=["contract"])
    customer_id: str = Field(description="Whose contract it is.", examples=["cus_01k"])
    plan: PlanName = Field(description="The plan.", examples=["prepaid"])
    committed_gpu_hours: int = Field(description="Contracted volume in GPU-hours.", examples=[500])
    gpu_hour_price: str = Field(description="Yuan per GPU-hour now.", examples=["5.2"])
    token_price: str = Field(description="Yuan per token now.", examples=["0.00009"])
    rate_card: CardChoice = Field(
        description="pinned: by the card of its signing, whatever is published; newest: by that of each day.",
        examples=["pinned"],
    )
    rate_card_version: str = Field(description="The rate card of these prices.", examples=["2026-01-01"])
    queue: str = Field(description="The queue of its jobs.", examples=["priority"])
    overage: Overage = Field(description="What becomes of usage beyond the grant.", examples=["block"])
    quote_guarantee: QuoteGuarantee = Field(
        description="What becomes of a job that reaches its quote.", examples=["pause"]
    )
    monthly_budget: MoneyOut | None = Field(
        description="Most that a month may add to invoices.", examples=[{"amount": "5000.00", "currency": "CNY"}]
    )
    budget_hard_stop: bool = Field(
        description="Whether the budget ends what is charged, or is only watched (events at 50, 80 and 100 %).",
        examples=[True],
    )
    credit_limit: MoneyOut | None = Field(
        description="Most that may be owed in unpaid invoices and unbilled usage.",
        examples=[{"amount": "20000.00", "currency": "CNY"}],
    )
    contract_number: str = Field(
        description="Contract number; at one time one contract of a customer has it. Its id where none was given.",
        examples=["HT-2026-0117"],
    )
    purchase_order: str | None = Field(description="The customer's purchase order.", examples=["PO-4711"])
    committed_tokens: int = Field(description="Contracted volume in tokens.", examples=[0])
    payment_days: int = Field(description="Invoices are due so many days after they are issued.", examples=[30])
    draft_working_days: int | None = Field(
        description="Working days after its month that a draft stays open; null: the installation's.", examples=[None]
    )
    finalizes: Finalizing | None = Field(
        description="Who makes its drafts final after that; null: as the installation has it.", examples=["automatic"]
    )
    arrears: ArrearsShape = Field(
        description="Days that each state of arrears lasts.", examples=[DEFAULT_ARREARS_EXAMPLE]
    )
    auto_renew: bool = Field(description="Whether another follows it by itself.", examples=[False])
    true_up: TrueUpRule = Field(
        description="When hours that were committed to and not used are charged: `at_end` of its term or `yearly`; "
        "of no meaning where hours are paid ahead, or none are committed.",
        examples=["at_end"],
    )
    guaranteed_gpus: list[GuaranteedGpusOut] = Field(
        description="GPUs that its own queue may always have, used or not; others use what it leaves idle.",
        examples=[[]],
    )
    renewed_from_id: str | None = Field(description="The contract that it follows.", examples=["con_01j"])
    status: ContractStatus = Field(description="Where it is in its life now.", examples=["active"])
    time_zone: str = Field(description="Its billing months follow it.", examples=["Asia/Shanghai"])
    billing_day: int = Field(description="The day of a month on which its billing months begin.", examples=[1])
    tax_mode: TaxMode = Field(description="Tax of the issuing entity on its invoices.", examples=["on_top"])
    tax_rate: str | None = Field(description="The rate as a share; null: there is no tax.", examples=["0.06"])
    starts_at: datetime = Field(description="In force from then on (UTC).", examples=["2026-11-01T00:00:00Z"])
    ends_at: datetime | None = Field(description="In force until then (UTC).", examples=["2027-11-01T00:00:00Z"])

    @classmethod
    def of(cls, terms: ContractTerms, now: datetime) -> "ContractOut":
        budget, limit, prices = terms.monthly_budget_micros, terms.credit_limit_micros, terms.prices_at(now)
        return cls(
            id=terms.id,
            customer_id=terms.customer_id,
            plan=terms.plan,
            committed_gpu_hours=terms.committed_gpu_hours,
            gpu_hour_price=format(prices.per_gpu_hour, "f"),
            token_price=format(prices.per_token, "f"),
            rate_card=terms.card_choice,
            rate_card_version=prices.rate_card_version,
            queue=terms.home_queue,
            overage=terms.overage,
            quote_guarantee=terms.quote_guarantee,
            monthly_budget=None if budget is None else MoneyOut.of_micros(budget),
            budget_hard_stop=terms.budget_hard_stop,
            credit_limit=None if limit is None else MoneyOut.of_micros(limit),
            contract_number=terms.contract_number,
            purchase_order=terms.purchase_order,
            committed_tokens=terms.committed_tokens,
            payment_days=terms.payment_days,
            draft_working_days=terms.draft_working_days,
            finalizes=terms.finalizes,
            arrears=ArrearsShape(**vars(terms.arrears)),
            auto_renew=terms.auto_renew,
            true_up=terms.true_up,
            guaranteed_gpus=[GuaranteedGpusOut.of(each) for each in terms.guaranteed_gpus],
            renewed_from_id=terms.renewed_from_id,
            status=terms.status_at(now),
            time_zone=terms.time_zone,
            billing_day=terms.billing_day,
            tax_mode=terms.tax.mode,
            tax_rate=None if terms.tax.mode == TaxMode.NONE else format(terms.tax.rate.normalize(), "f"),
            starts_at=terms.starts_at,
            ends_at=terms.ends_at,
        )


class ContractEventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Event id.", examples=["coe_01k"])
    object: Literal["contract_event"] = Field(
        default="contract_event", description="Kind of object.", examples=["contract_event"]
    )
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    kind: str = Field(description="What happened, in the past tense.", examples=["signed"])
    data: dict[str, Any] = Field(description="Facts of the event.", examples=[{"plan": "prepaid"}])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: ContractEvent) -> "ContractEventOut":
        return cls.model_validate(row)
