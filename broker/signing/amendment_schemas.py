"""API shapes of amendments."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, Field

from broker import errors
from broker.clock import check_time_zone
from broker.contracts.amendment.amendable import NAMES
from broker.contracts.amendment.new_amendment import NewAmendment, UnusedGrants
from broker.contracts.amendment_schemas import CHANGES_EXAMPLE, ChangeOut
from broker.contracts.schemas import MOST_DAYS
from broker.contracts.terms.agreed import Finalizing, TrueUpRule
from broker.contracts.terms.model import CardChoice, QuoteGuarantee
from broker.http.plain_text import PlainText
from broker.http.shapes import Moment, MoneyOut, RequestBody, as_hours
from broker.signing.amendments import AmendmentPreview
from broker.signing.schemas import CommittedHours, DraftDays, Guarantees, OverageWord, Reference, Yuan, read_guarantees
from pricing.money import Money
from pricing.plans import PlanName
from pricing.tax import TaxMode

Days = Annotated[int, Field(ge=0, le=MOST_DAYS)]
# What may be given up, by null, is in these; of all others null means nothing.
MAY_BE_NULL = frozenset(
    {"ends_at", "monthly_budget", "credit_limit", "purchase_order", "draft_working_days", "finalizes"}
)
# What the terms are called inside, and those of which parts are sent.
TERMS = {name: term for term, name in NAMES.items()}
PARTS = {"tax_mode": ("tax", "mode"), "tax_rate": ("tax", "rate")}
NO_TERMS = frozenset({"effective_at", "unused_grants", "reason", "preview"})
NOT_AMENDED = {
    "customer_id": "a contract stays its customer's; end it, and sign one with the other customer",
    "starts_at": "a contract that was signed keeps its beginning; cancel it before its use, and sign another",
    "committed_tokens": "tokens were bought at signing; order more with POST /v1/purchases, or refund their grant",
    "rollover": "was agreed for the hours bought at signing; sign the renewal with another rule",
    "rollover_percent": "was agreed for the hours bought at signing; sign the renewal with another rule",
    "renewed_from_id": "which contract one follows is decided where it is signed",
    "currency": "contracts are in yuan (CNY)",
}


class ArrearsChange(RequestBody):
    """Other days for some of the states of arrears."""

    grace_days: Days | None = Field(default=None, description="All goes on as before.", examples=[7])
    suspended_days: Days | None = Field(default=None, description="Nothing new runs.", examples=[15])
    retention_days: Days | None = Field(default=None, description="What is kept stays.", examples=[30])


class AmendmentIn(RequestBody):
    refused: ClassVar[Mapping[str, str]] = NOT_AMENDED

    effective_at: Moment | None = Field(
        default=None, description="In effect from then on (UTC); default: at once.", examples=["2026-12-01T00:00:00Z"]
    )
    plan: PlanName | None = Field(default=None, description="Another plan.", examples=["prepaid"])
    committed_gpu_hours: CommittedHours | None = Field(
        default=None, description="Another volume, in GPU-hours of the whole term.", examples=[1000]
    )
    ends_at: Moment | None = Field(
        default=None, description="Another end; null: without end.", examples=["2027-11-01T00:00:00Z"]
    )
    overage: OverageWord | None = Field(default=None, description="Another overage rule.", examples=["on_demand"])
    contract_number: Reference | None = Field(
        default=None, description="Another contract number.", examples=["HT-2026-0118"]
    )
    purchase_order: Reference | None = Field(
        default=None, description="Another purchase order; null: none.", examples=["PO-4712"]
    )
    payment_days: int | None = Field(
        default=None, ge=0, le=MOST_DAYS, description="Other days to pay, of invoices from then on.", examples=[60]
    )
    draft_working_days: DraftDays | None = Field(
        default=None,
        description="Other working days that a draft stays open; null: the installation's.",
        examples=[3],
    )
    finalizes: Finalizing | None = Field(
        default=None,
        description="Who makes drafts final from then on; null: as the installation has it.",
        examples=["automatic"],
    )
    monthly_budget: Annotated[Yuan, Field(gt=0)] | None = Field(
        default=None, description="Another budget, in yuan; null: none.", examples=["8000.00"]
    )
    budget_hard_stop: bool | None = Field(
        default=None, description="Whether the budget ends what is charged.", examples=[False]
    )
    credit_limit: Yuan | None = Field(
        default=None, description="Another credit limit, in yuan; null: none.", examples=["20000.00"]
    )
    quote_guarantee: QuoteGuarantee | None = Field(
        default=None,
        description="What becomes of jobs from then on that reach their quotes.",
        examples=["cap"],
    )
    auto_renew: bool | None = Field(default=None, description="Whether another follows it by itself.", examples=[True])
    true_up: TrueUpRule | None = Field(
        default=None,
        description="Another time at which unused hours are charged; years that are over stay as they were.",
        examples=["yearly"],
    )
    guaranteed_gpus: Guarantees | None = Field(
        default=None,
        description="All GPUs that its own queue may always have from then on; `[]`: none. The month is prorated.",
        examples=[[{"gpu_type": "rtx-4090", "gpus": 8, "monthly_price": "900.00"}]],
    )
    rate_card: CardChoice | None = Field(
        default=None,
        description="`newest`: each day has the prices of the newest card; `pinned`: those of one card.",
        examples=["newest"],
    )
    rate_card_version: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The card to pin; default: that of the day.", examples=["2026-01-01"]
    )
    time_zone: Annotated[str, AfterValidator(check_time_zone)] | None = Field(
        default=None, description="Another IANA time zone, from a billing month on.", examples=["Asia/Shanghai"]
    )
    billing_day: Annotated[int, Field(ge=1, le=28)] | None = Field(
        default=None,
        description="Another day on which billing months begin, from one on: that month ends by the new day.",
        examples=[15],
    )
    tax_mode: TaxMode | None = Field(
        default=None, description="`none` or `on_top`, from a billing month on.", examples=["on_top"]
    )
    tax_rate: Annotated[Decimal, Field(ge=0, lt=1, decimal_places=4)] | None = Field(
        default=None, description="Another rate, as a share, from a billing month on.", examples=["0.06"]
    )
    arrears: ArrearsChange | None = Field(
        default=None, description="Other days that states of arrears last.", examples=[{"grace_days": 10}]
    )
    unused_grants: UnusedGrants = Field(
        default=UnusedGrants.CARRY,
        description="Bought grants: `carry` on to their own end, `refund` at once, or `expire` as it takes effect.",
        examples=["carry"],
    )
    reason: PlainText | None = Field(
        default=None, max_length=500, description="Why, for the record.", examples=["Order form of 2026-11-24"]
    )

    def read_amendment(self, contract_id: str) -> NewAmendment:
        """Read what is to be changed: the terms that were sent. Raises: InvalidRequest."""
        sent = self.model_fields_set - NO_TERMS
        for name in sorted(sent - MAY_BE_NULL):
            if getattr(self, name) is None:
                raise errors.invalid_field(name, "may not be null; leave it out where it stays as it is")
        return NewAmendment(
            contract_id=contract_id,
            values=self._read_values([name for name in type(self).model_fields if name in sent]),
            effective_at=self.effective_at,
            unused_grants=self.unused_grants,
            reason=self.reason,
        )

    def _read_values(self, sent: Sequence[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name in sent:
            if name in PARTS:
                term, part = PARTS[name]
                values.setdefault(term, {})[part] = getattr(self, name)
            else:
                values[TERMS.get(name, name)] = self._read(name)
        return values

    def _read(self, name: str) -> Any:
        value = getattr(self, name)
        if isinstance(value, list):
            return read_guarantees(value)
        if isinstance(value, ArrearsChange):
            return value.model_dump(exclude_none=True)
        return Money.from_decimal(value).micros if isinstance(value, Decimal) else value


class ConfirmedAmendmentIn(AmendmentIn):
    preview: str = Field(
        min_length=1,
        max_length=64,
        description="The `preview` that showed these changes.",
        examples=["9f86d081884c7d65"],
    )


class WithdrawalIn(RequestBody):
    reason: PlainText | None = Field(
        default=None, max_length=500, description="Why, for the record.", examples=["The customer changed its mind"]
    )


class UnusedGrantOut(BaseModel):
    grant_id: str = Field(description="The grant.", examples=["gra_01k"])
    unused: int = Field(description="What is free in it, in GPU-seconds or tokens.", examples=[1799712])


class AmendmentPreviewOut(BaseModel):
    object: Literal["amendment_preview"] = Field(
        default="amendment_preview", description="Kind of object.", examples=["amendment_preview"]
    )
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    effective_at: datetime = Field(description="When it would take effect (UTC).", examples=["2026-12-01T00:00:00Z"])
    changes: list[ChangeOut] = Field(description="What it replaces.", examples=[CHANGES_EXAMPLE])
    added_gpu_hours: str = Field(
        description="Hours that it adds: of a new plan all, of other hours the share for the time left.",
        examples=["250.0000"],
    )
    amount: MoneyOut = Field(
        description="Price of the added hours.", examples=[{"amount": "1300.00", "currency": "CNY"}]
    )
    commitment_gpu_hours: str = Field(
        description="Hours that the whole term commits to then: of other hours the share for the time left counts.",
        examples=["750.0000"],
    )
    due_now: bool = Field(description="Whether they are invoiced ahead, or as they are used.", examples=[True])
    unused_grants: list[UnusedGrantOut] = Field(
        description="What is unused of bought grants.", examples=[[{"grant_id": "gra_01k", "unused": 1799712}]]
    )
    refund: MoneyOut = Field(
        description="What is paid back of them, with its tax.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )
    unused_grants_will: UnusedGrants = Field(description="What becomes of them.", examples=["carry"])
    preview: str = Field(description="Send it to confirm exactly this.", examples=["9f86d081884c7d65"])

    @classmethod
    def of(cls, preview: AmendmentPreview) -> "AmendmentPreviewOut":
        planned = preview.planned
        return cls(
            contract_id=planned.terms.id,
            effective_at=planned.effective_at,
            changes=[ChangeOut(**each) for each in planned.describe_changes()],
            added_gpu_hours=as_hours(planned.added_gpu_seconds),
            amount=MoneyOut.of(planned.amount),
            commitment_gpu_hours=as_hours(planned.committed_gpu_seconds),
            due_now=preview.is_due_now,
            unused_grants=[UnusedGrantOut(grant_id=each.grant_id, unused=each.unused) for each in preview.unused],
            refund=MoneyOut.of(preview.refund),
            unused_grants_will=planned.unused_grants,
            preview=preview.token,
        )
