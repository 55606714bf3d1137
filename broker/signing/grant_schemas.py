"""API shapes of grants."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from broker.contracts.terms.model import GrantStatus, RolloverRule
from broker.http.shapes import Moment, MoneyOut, Reason, RequestBody, Whole, as_hours, created_at_field
from broker.ledger.service import GrantBalance, GrantDraw
from broker.signing.grants import Gift
from broker.signing.refunds import Refund
from pricing.grants import GrantKind, GrantScope
from pricing.usage import Unit

MOST_HOURS = 100_000_000


def _check_whole_seconds(hours: Decimal | None) -> Decimal | None:
    if hours is not None and hours * 3600 % 1:
        raise ValueError("must be whole GPU-seconds: a multiple of 0.0025")
    return hours


Hours = Annotated[
    Decimal | None,
    Field(
        gt=0,
        le=MOST_HOURS,
        max_digits=13,
        decimal_places=4,
        description="GPU-hours, in whole GPU-seconds: multiples of 0.0025.",
        examples=["50"],
    ),
    AfterValidator(_check_whole_seconds),
]
Tokens = Annotated[Whole | None, Field(ge=1, description="Tokens, in place of GPU-hours.", examples=[1_000_000])]


class ScopeIn(RequestBody):
    project_id: str | None = Field(default=None, description="Only this project's usage.", examples=["prj_01k"])
    gpu_type: str | None = Field(default=None, description="Only usage of this GPU type.", examples=["rtx-4090"])


class Volume(RequestBody):
    """A volume of one meter: GPU-hours or tokens, exactly one of the two."""

    gpu_hours: Hours = None
    tokens: Tokens = None

    @model_validator(mode="after")
    def _check_volume(self) -> Self:
        if (self.gpu_hours is None) == (self.tokens is None):
            raise ValueError("say either gpu_hours or tokens")
        return self

    @property
    def meter(self) -> Unit:
        return Unit.TOKENS if self.gpu_hours is None else Unit.GPU_SECONDS

    @property
    def quantity(self) -> int:
        """Count the volume in the meter's unit."""
        return (self.tokens or 0) if self.gpu_hours is None else int(self.gpu_hours * 3600)


class GrantIn(Volume):
    contract_id: str = Field(description="The contract that it is for.", examples=["con_01k"])
    kind: Literal["promotional", "compensation"] = Field(
        description="Why the house gives it; bought hours come by `POST /v1/purchases`.", examples=["promotional"]
    )
    scope: ScopeIn = Field(
        default_factory=ScopeIn,
        description="What usage it pays for; empty: all of its meter.",
        examples=[{"gpu_type": "rtx-4090"}],
    )
    effective_at: Moment | None = Field(
        default=None, description="It pays for usage from then on; default: now.", examples=["2026-12-01T00:00:00Z"]
    )
    expires_at: Moment | None = Field(
        default=None,
        description="It pays for nothing from then on; default: after 12 months, or when the contract ends.",
        examples=["2027-12-01T00:00:00Z"],
    )
    priority: int = Field(
        default=0, ge=0, le=1000, description="Above 0 it pays after all that have a lower one.", examples=[0]
    )
    reason: Reason

    def read_gift(self) -> Gift:
        return Gift(
            contract_id=self.contract_id,
            kind=GrantKind(self.kind),
            scope=GrantScope(self.meter, self.scope.project_id, self.scope.gpu_type),
            quantity=self.quantity,
            reason=self.reason,
            effective_at=self.effective_at,
            expires_at=self.expires_at,
            priority=self.priority,
        )


class VoidIn(RequestBody):
    reason: Reason


class ScopeOut(BaseModel):
    meter: Literal["gpu_seconds", "tokens"] = Field(description="What it pays for.", examples=["gpu_seconds"])
    project_id: str | None = Field(description="Only this project's usage.", examples=["prj_01k"])
    gpu_type: str | None = Field(description="Only usage of this GPU type.", examples=["rtx-4090"])

    @classmethod
    def of(cls, scope: GrantScope) -> "ScopeOut":
        return cls.model_validate({"meter": scope.meter, "project_id": scope.project_id, "gpu_type": scope.gpu_type})


class GrantOut(BaseModel):
    id: str = Field(description="Grant id.", examples=["gra_01k"])
    object: Literal["grant"] = Field(default="grant", description="Kind of object.", examples=["grant"])
    customer_id: str = Field(description="Whose it is.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    kind: GrantKind = Field(description="Bought, or given by the house.", examples=["bought"])
    scope: ScopeOut = Field(description="What usage it pays for.", examples=[{"meter": "gpu_seconds"}])
    status: Literal["pending", "scheduled", "active", "used_up", "emptied", "expired", "void", "cancelled"] = Field(
        description="Not paid, not begun, in use, used up, refunded or carried on, past its term, taken back, or its "
        "order cancelled.",
        examples=["active"],
    )
    quantity: int = Field(description="The whole of it, in GPU-seconds or tokens.", examples=[1_800_000])
    left: int = Field(description="Free for new jobs.", examples=[1_799_712])
    held: int = Field(description="Reserved by live jobs.", examples=[180])
    used: int = Field(description="What it has paid for.", examples=[108])
    gone: int = Field(description="What left it unused: expired, made void, refunded, carried on.", examples=[0])
    gpu_hours: str | None = Field(description="The whole of it in GPU-hours.", examples=["500.0000"])
    left_gpu_hours: str | None = Field(description="What is left, in GPU-hours.", examples=["499.9200"])
    used_percent: str | None = Field(description="Used of what was granted, in per cent.", examples=["20.0"])
    left_percent: str | None = Field(description="Left of what was granted, in per cent.", examples=["80.0"])
    days_left: str | None = Field(
        description="Days that the rest lasts at the pace of the last 30 days; null: it is not drawn from.",
        examples=["12.5"],
    )
    unit_price: str = Field(description="Yuan per GPU-hour or token.", examples=["5.2"])
    billed_as_used: bool = Field(
        description="Whether its usage is billed by the month: not what was paid ahead, nor what was given.",
        examples=[False],
    )
    priority: int = Field(description="Above 0 it pays after all that have a lower one.", examples=[0])
    rollover: RolloverRule = Field(
        description="What becomes of its unused part when the contract is renewed: it lapses, or is carried on.",
        examples=["none"],
    )
    rollover_percent: int = Field(description="The most that is carried on, of the whole of it.", examples=[100])
    reason: str | None = Field(description="Why it was given or made void.", examples=["Launch promotion"])
    invoice_id: str | None = Field(description="The invoice that pays for it.", examples=["inv_01k"])
    effective_at: datetime = Field(description="It pays from then on (UTC).", examples=["2026-11-01T00:00:00Z"])
    expires_at: datetime | None = Field(description="It pays until then (UTC).", examples=["2027-11-01T00:00:00Z"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, balance: GrantBalance, now: datetime) -> "GrantOut":
        grant, hours = balance.terms, balance.terms.unit == Unit.GPU_SECONDS
        return cls(
            id=grant.id,
            customer_id=grant.customer_id,
            contract_id=grant.contract_id,
            kind=grant.kind,
            scope=ScopeOut.of(grant.scope),
            status=describe_status(balance, now),
            quantity=grant.quantity,
            left=balance.free,
            held=balance.held,
            used=balance.used,
            gone=balance.gone,
            gpu_hours=as_hours(grant.quantity) if hours else None,
            left_gpu_hours=as_hours(balance.free) if hours else None,
            used_percent=write_optional(balance.used_percent),
            left_percent=write_optional(balance.left_percent),
            days_left=write_optional(balance.days_left),
            unit_price=format(grant.unit_price.normalize(), "f"),
            billed_as_used=grant.billable,
            priority=grant.priority,
            rollover=grant.rollover.rule,
            rollover_percent=grant.rollover.percent,
            reason=grant.reason,
            invoice_id=grant.invoice_id,
            effective_at=grant.effective_at,
            expires_at=grant.expires_at,
            created_at=grant.created_at,
        )


def describe_status(balance: GrantBalance, now: datetime) -> str:
    """Describe where a grant is in its life, as people see it at a moment."""
    grant = balance.terms
    if grant.status != GrantStatus.ACTIVE:
        return grant.status.value
    if grant.expires_at is not None and grant.expires_at <= now:
        return "expired"
    if now < grant.effective_at:
        return "scheduled"
    if balance.free or balance.held:
        return "active"
    return "emptied" if balance.gone else "used_up"


def write_optional(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


class GrantDrawOut(BaseModel):
    id: str = Field(description="Draw id.", examples=["dra_17"])
    object: Literal["grant_draw"] = Field(default="grant_draw", description="Kind of object.", examples=["grant_draw"])
    grant_id: str = Field(description="The grant that paid.", examples=["gra_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    job_id: str = Field(description="The job that used it.", examples=["job_01k"])
    run_id: str = Field(description="The run that used it.", examples=["run_01k"])
    first_sequence: int = Field(description="Its first interval that was paid.", examples=[0])
    last_sequence: int = Field(description="Its last interval that was paid.", examples=[12])
    meter: Literal["gpu_seconds", "tokens"] = Field(description="What was paid for.", examples=["gpu_seconds"])
    quantity: int = Field(description="In GPU-seconds or tokens.", examples=[95])
    unit_price: str = Field(description="Yuan per GPU-hour or token.", examples=["5.2"])
    month: str = Field(description="The billing month.", examples=["2026-11"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, draw: GrantDraw) -> "GrantDrawOut":
        return cls.model_validate(
            {**vars(draw), "id": f"dra_{draw.number}", "unit_price": format(draw.unit_price.normalize(), "f")}
        )


class RefundOut(BaseModel):
    object: Literal["grant_refund"] = Field(
        default="grant_refund", description="Kind of object.", examples=["grant_refund"]
    )
    customer_id: str = Field(description="Who gets it back.", examples=["cus_01k"])
    grant_id: str = Field(description="The grant.", examples=["gra_01k"])
    quantity: int = Field(description="What left the grant, in GPU-seconds or tokens.", examples=[180_000])
    gpu_hours: str | None = Field(description="The quantity in GPU-hours.", examples=["50.0000"])
    net: MoneyOut = Field(description="Its price, rounded once.", examples=[{"amount": "260.00", "currency": "CNY"}])
    tax: MoneyOut = Field(description="The tax on it.", examples=[{"amount": "0.00", "currency": "CNY"}])
    total: MoneyOut = Field(description="What is owed back.", examples=[{"amount": "260.00", "currency": "CNY"}])
    grant: GrantOut = Field(description="The grant as it is now.", examples=[{"id": "gra_01k"}])

    @classmethod
    def of(cls, refund: Refund, balance: GrantBalance, now: datetime) -> "RefundOut":
        grant = refund.grant
        return cls(
            customer_id=grant.customer_id,
            grant_id=grant.id,
            quantity=refund.quantity,
            gpu_hours=as_hours(refund.quantity) if grant.unit == Unit.GPU_SECONDS else None,
            net=MoneyOut.of(refund.net),
            tax=MoneyOut.of(refund.tax),
            total=MoneyOut.of(refund.total),
            grant=GrantOut.of(balance, now),
        )
