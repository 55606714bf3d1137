"""API shapes of signing a contract."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from broker import errors
from broker.clock import check_time_zone
from broker.contracts.schemas import DEFAULT_ARREARS_EXAMPLE, MOST_DAYS, ArrearsShape, ContractOut
from broker.contracts.terms.agreed import (
    DEFAULT_PAYMENT_DAYS,
    ArrearsTerms,
    Finalizing,
    GuaranteedGpus,
    TrueUpRule,
    make_tax,
)
from broker.contracts.terms.model import CardChoice, NewContract, Overage, QuoteGuarantee, Rollover, RolloverRule
from broker.http.plain_text import PlainText, check_line
from broker.http.shapes import Moment, RequestBody, Whole
from broker.signing.service import SignedContract
from pricing.catalog import find_gpu
from pricing.money import Money
from pricing.plans import PlanName
from pricing.tax import TaxMode

# What 0.1.0 wrote, and what it is written as now.
OLD_OVERAGES = {"bill": Overage.CONTRACT, "refuse": Overage.BLOCK}


def _name_new_word(value: Any) -> Any:
    if isinstance(value, str) and value in OLD_OVERAGES:
        raise ValueError(f"{value!r} is written {OLD_OVERAGES[value].value!r} now")
    return value


Reference = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(check_line)
]

DraftDays = Annotated[int, Field(ge=0, le=60)]
CommittedHours = Annotated[int, Field(ge=0, le=100_000_000)]
OverageWord = Annotated[Overage, BeforeValidator(_name_new_word)]
Yuan = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=6)]


class GuaranteedGpusIn(RequestBody):
    """GPUs of one type that the contract's own queue may always have."""

    gpu_type: PlainText = Field(min_length=1, max_length=64, description="Their type.", examples=["rtx-4090"])
    gpus: int = Field(ge=1, le=1_000_000, description="How many.", examples=[4])
    monthly_price: Yuan = Field(description="Yuan for one of them and a billing month, used or not.", examples=["900"])


Guarantees = Annotated[list[GuaranteedGpusIn], Field(max_length=20)]


def read_guarantees(sent: Sequence[GuaranteedGpusIn]) -> tuple[GuaranteedGpus, ...]:
    """Read guaranteed GPUs, by the names of the catalogue. Raises: InvalidRequest, where a type is named twice."""
    read: dict[str, GuaranteedGpus] = {}
    for at, each in enumerate(sent):
        known = find_gpu(each.gpu_type)
        sku = each.gpu_type if known is None else known.sku
        if sku in read:
            raise errors.invalid_field(
                f"guaranteed_gpus.{at}.gpu_type", f"names {sku} again; add its GPUs to the first"
            )
        read[sku] = GuaranteedGpus(sku, each.gpus, Money.from_decimal(each.monthly_price).micros)
    return tuple(read.values())


class ContractIn(RequestBody):
    customer_id: str = Field(description="Whose contract it is.", examples=["cus_01k"])
    plan: PlanName = Field(
        description="on_demand, prepaid (from 500 GPU-hours), long_term (from 2000).", examples=["prepaid"]
    )
    committed_gpu_hours: CommittedHours = Field(
        default=0, description="Contracted volume in GPU-hours.", examples=[500]
    )
    committed_tokens: Whole = Field(
        default=0, description="Tokens bought ahead with the hours; prepaid only.", examples=[50000000]
    )
    starts_at: Moment | None = Field(
        default=None, description="In force from then on (UTC); default: now.", examples=["2026-11-01T00:00:00Z"]
    )
    ends_at: Moment | None = Field(
        default=None,
        description="In force until then; null: without end, but 12 months after the start where hours are committed.",
        examples=["2027-11-01T00:00:00Z"],
    )
    overage: OverageWord | None = Field(
        default=None,
        description="GPU-hours beyond the grants: sold at `on_demand` prices, at those of the `contract`, or `block`. "
        "Default: prepaid blocks, the others sell at their own.",
        examples=["block"],
    )
    rate_card: CardChoice = Field(
        default=CardChoice.PINNED,
        description="`pinned`: the prices stay those of one card; `newest`: each day has those of the newest card.",
        examples=["pinned"],
    )
    rate_card_version: str | None = Field(
        default=None,
        max_length=64,
        description="The card to pin; default: that of its first day.",
        examples=["2026-01-01"],
    )
    quote_guarantee: QuoteGuarantee = Field(
        default=QuoteGuarantee.PAUSE,
        description="A job that reaches its quote: `pause` it until the customer raises it, or `cap` what it costs.",
        examples=["cap"],
    )
    time_zone: Annotated[str, AfterValidator(check_time_zone)] | None = Field(
        default=None,
        description="IANA time zone that its billing months follow; default: the installation's.",
        examples=["Asia/Shanghai"],
    )
    billing_day: int = Field(
        default=1, ge=1, le=28, description="The day of a month on which its billing months begin.", examples=[1]
    )
    rollover: RolloverRule = Field(
        default=RolloverRule.NONE,
        description="What becomes of unused hours that were paid ahead when the contract is renewed: they lapse, or "
        "are carried on.",
        examples=["carry"],
    )
    rollover_percent: int = Field(
        default=100, ge=1, le=100, description="The most that is carried on, of the committed hours.", examples=[50]
    )
    contract_number: Reference | None = Field(
        default=None,
        description="Contract number: of those in force at one time each needs its own. Default: the contract's id.",
        examples=["HT-2026-0117"],
    )
    purchase_order: Reference | None = Field(
        default=None, description="The customer's purchase order.", examples=["PO-4711"]
    )
    payment_days: int = Field(
        default=DEFAULT_PAYMENT_DAYS,
        ge=0,
        le=MOST_DAYS,
        description="Invoices are due so many days after they are issued.",
        examples=[30],
    )
    draft_working_days: DraftDays | None = Field(
        default=None,
        description="Working days after its month that a draft stays open; null: the installation's.",
        examples=[3],
    )
    finalizes: Finalizing | None = Field(
        default=None,
        description="Who makes its drafts final after that: finance (`by_hand`), or the broker by itself "
        "(`automatic`); null: as the installation has it.",
        examples=["automatic"],
    )
    tax_mode: TaxMode = Field(
        default=TaxMode.NONE,
        description="Tax of the issuing entity: `none`, `on_top` of the prices, or `included` in them.",
        examples=["on_top"],
    )
    tax_rate: Decimal | None = Field(
        default=None,
        ge=0,
        lt=1,
        decimal_places=4,
        description="The rate as a share; null: there is no tax.",
        examples=["0.06"],
    )
    credit_limit: Yuan | None = Field(
        default=None,
        description="Most that may be owed in unpaid invoices and unbilled usage, in yuan; null: no limit.",
        examples=["20000.00"],
    )
    arrears: ArrearsShape = Field(
        default_factory=ArrearsShape,
        description="Days that each state of arrears lasts.",
        examples=[DEFAULT_ARREARS_EXAMPLE],
    )
    auto_renew: bool = Field(
        default=False,
        description="Whether another contract on the same terms follows it by itself, signed 7 days before its end.",
        examples=[True],
    )
    true_up: TrueUpRule = Field(
        default=TrueUpRule.AT_END,
        description="When hours that are committed to and not used are charged: `at_end` of the term, or `yearly`, "
        "each year's share of them in its last billing month. Hours paid ahead have no true-up.",
        examples=["yearly"],
    )
    guaranteed_gpus: Guarantees = Field(
        default_factory=list,
        description="GPUs that its own queue may always have (long_term); others use what it leaves idle.",
        examples=[[{"gpu_type": "rtx-4090", "gpus": 4, "monthly_price": "900.00"}]],
    )
    budget_hard_stop: bool = Field(
        default=True,
        description="Whether the budget ends what is charged; false: it is only watched.",
        examples=[True],
    )
    monthly_budget: Annotated[Yuan, Field(gt=0)] | None = Field(
        default=None,
        description="Most that a month's usage may add to invoices, in yuan; null: no limit.",
        examples=["5000.00"],
    )

    def read_contract(self, now: datetime) -> NewContract:
        budget, limit = self.monthly_budget, self.credit_limit
        return NewContract(
            customer_id=self.customer_id,
            plan=self.plan,
            committed_gpu_hours=self.committed_gpu_hours,
            committed_tokens=self.committed_tokens,
            starts_at=self.starts_at or now,
            ends_at=self.ends_at,
            overage=self.overage,
            time_zone=self.time_zone,
            billing_day=self.billing_day,
            rollover=Rollover(self.rollover, self.rollover_percent),
            tax=make_tax(self.tax_mode, self.tax_rate),
            card_choice=self.rate_card,
            rate_card_version=self.rate_card_version,
            quote_guarantee=self.quote_guarantee,
            monthly_budget_micros=None if budget is None else Money.from_decimal(budget).micros,
            contract_number=self.contract_number,
            purchase_order=self.purchase_order,
            payment_days=self.payment_days,
            draft_working_days=self.draft_working_days,
            finalizes=self.finalizes,
            auto_renew=self.auto_renew,
            true_up=self.true_up,
            guaranteed_gpus=read_guarantees(self.guaranteed_gpus),
            budget_hard_stop=self.budget_hard_stop,
            credit_limit_micros=None if limit is None else Money.from_decimal(limit).micros,
            arrears=ArrearsTerms(**vars(self.arrears)),
        )


class SignedContractOut(ContractOut):
    advance_invoice_id: str | None = Field(
        description="To be paid before its hours can be used; null: there is no advance.", examples=["inv_01k"]
    )

    tokens_invoice_id: str | None = Field(
        description="To be paid before its tokens can be used; null: none were bought ahead.", examples=["inv_01k"]
    )

    @classmethod
    def of_signed(cls, signed: SignedContract, now: datetime) -> "SignedContractOut":
        contract = ContractOut.of(signed.terms, now)
        invoices = {"advance_invoice_id": signed.advance_invoice_id, "tokens_invoice_id": signed.tokens_invoice_id}
        return cls(**contract.model_dump(), **invoices)


class EndIn(RequestBody):
    ends_at: Moment = Field(description="In force until then (UTC), in the future.", examples=["2027-01-01T00:00:00Z"])


class RenewalIn(RequestBody):
    renew: bool = Field(description="Whether another contract follows.", examples=[True])
    plan: PlanName | None = Field(default=None, description="Another plan for it.", examples=["long_term"])
    committed_gpu_hours: CommittedHours | None = Field(
        default=None, description="Another volume for it, in GPU-hours.", examples=[2000]
    )
    true_up: TrueUpRule | None = Field(
        default=None, description="When it charges unused hours; default: as before.", examples=["yearly"]
    )
    ends_at: Moment | None = Field(
        default=None,
        description="Another end for it; default: as long a term again.",
        examples=["2028-11-01T00:00:00Z"],
    )

    def read_terms(self) -> dict[str, Any]:
        """Read the terms that are others than before."""
        names = ("plan", "committed_gpu_hours", "ends_at", "true_up")
        return {name: value for name in names if (value := getattr(self, name)) is not None}
