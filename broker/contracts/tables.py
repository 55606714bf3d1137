"""Published rate cards, contracts and the grants under them."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column

# As signed, or by an amendment.
GUARANTEED_AT_ANY_TIME = "(guaranteed_gpus <> '[]'::jsonb OR jsonb_path_exists(changes, '$[*].values.guaranteed_gpus'))"
# Of one customer's contracts at most one has a number at a time.
ONE_AT_A_TIME = "ex_contract_numbers_one_at_a_time"


class PublishedRateCard(Base):
    """A rate card as it was published; a trigger refuses every change."""

    __tablename__ = "rate_cards"

    version: Mapped[str] = mapped_column(primary_key=True)
    effective_from: Mapped[date]
    document: Mapped[dict[str, Any]]
    published_at: Mapped[datetime] = moment_column()


class Contract(Base):
    """What one customer has signed. Money in micro-yuan.

    `rate_card_version` is the card of its signing. It has the prices, unless `card_choice` is to follow newer ones.
    `guaranteed_gpus` are those that it may always have, as JSON (`GuaranteedGpus`).
    `arrears_state` is how far it is in arrears and `arrears_owed_micros` what it owes so, as last decided: no terms,
    but what it may do depends on them, so that whoever knows its version knows these.
    `changes` are those that amendments have made of these terms, each from a moment on; the end is the newest.
    """

    __tablename__ = "contracts"
    __table_args__ = (
        UniqueConstraint("id", "customer_id"),  # what belongs to a contract refers to both
        CheckConstraint("ends_at IS NULL OR ends_at > starts_at", name="ends_after_start"),
        CheckConstraint("committed_gpu_hours >= 0", name="commitment_not_negative"),
        CheckConstraint("billing_day BETWEEN 1 AND 28", name="billing_day_in_every_month"),
        CheckConstraint("(tax_mode = 'none') = (tax_rate IS NULL)", name="tax_has_a_rate"),
        Index("ix_contracts_in_arrears", "id", postgresql_where=text("arrears_state <> 'current'")),
        Index("ix_contracts_guaranteed", "id", postgresql_where=text(GUARANTEED_AT_ANY_TIME)),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    plan: Mapped[str]
    committed_gpu_hours: Mapped[int]
    rate_card_version: Mapped[str] = mapped_column(ForeignKey("rate_cards.version"))
    card_choice: Mapped[str]
    overage: Mapped[str]
    quote_guarantee: Mapped[str]
    monthly_budget_micros: Mapped[int | None]
    time_zone: Mapped[str]
    billing_day: Mapped[int]
    tax_mode: Mapped[str]
    tax_rate: Mapped[Decimal | None] = mapped_column(Numeric(6, 4))
    starts_at: Mapped[datetime] = moment_column()
    ends_at: Mapped[datetime | None] = moment_column(nullable=True)
    contract_number: Mapped[str]
    purchase_order: Mapped[str | None]
    committed_tokens: Mapped[int]
    payment_days: Mapped[int]
    draft_working_days: Mapped[int | None]
    finalizes: Mapped[str | None]
    budget_hard_stop: Mapped[bool]
    credit_limit_micros: Mapped[int | None]
    arrears_grace_days: Mapped[int]
    arrears_suspended_days: Mapped[int]
    arrears_retention_days: Mapped[int]
    arrears_state: Mapped[str] = mapped_column(default="current")
    arrears_owed_micros: Mapped[int] = mapped_column(default=0)
    auto_renew: Mapped[bool]
    true_up: Mapped[str]
    guaranteed_gpus: Mapped[list[Any]] = mapped_column(default=list)
    renewed_from_id: Mapped[str | None] = mapped_column(ForeignKey("contracts.id"))
    cancelled_at: Mapped[datetime | None] = moment_column(nullable=True)
    changes: Mapped[list[Any]]
    created_at: Mapped[datetime] = moment_column()


class ContractNumber(Base):
    """A time in which a contract has a number, as signed or as amendments have it; none once it is cancelled."""

    __tablename__ = "contract_numbers"
    __table_args__ = (
        ExcludeConstraint(
            ("customer_id", "="),
            ("contract_number", "="),
            (text("tstzrange(begins_at, ends_at)"), "&&"),
            using="gist",
            name=ONE_AT_A_TIME,
        ),
    )

    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), primary_key=True)
    begins_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_number: Mapped[str]
    ends_at: Mapped[datetime | None] = moment_column(nullable=True)


class AmendmentWithdrawal(Base):
    """That an amendment was withdrawn before it took effect; never changed."""

    __tablename__ = "amendment_withdrawals"

    amendment_id: Mapped[str] = mapped_column(ForeignKey("contract_amendments.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    reason: Mapped[str | None]
    withdrawn_at: Mapped[datetime] = moment_column()


class ContractAmendment(Base):
    """An amendment as it was confirmed: what it changed, from when on, and what that replaced; never changed.

    `grant_ends` are the ends that grants had which it moved.
    """

    __tablename__ = "contract_amendments"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    effective_at: Mapped[datetime] = moment_column()
    changes: Mapped[list[Any]]
    added_gpu_seconds: Mapped[int]
    amount_micros: Mapped[int]
    unused_grants: Mapped[str]
    grant_ends: Mapped[list[Any]]
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("grants.id"))
    invoice_id: Mapped[str | None]
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()


class ContractEvent(Base):
    """Something that happened to a contract, in the past tense; never changed. With an `occasion` it happens once."""

    __tablename__ = "contract_events"
    __table_args__ = (
        Index("ix_contract_events_contract_id_id", "contract_id", "id"),
        Index("ix_contract_events_created_at", "created_at"),
        Index(
            "uq_contract_events_occasion",
            "contract_id",
            "kind",
            "occasion",
            unique=True,
            postgresql_where=text("occasion IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    kind: Mapped[str]
    occasion: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = moment_column()


class Grant(Base):
    """A block of GPU-seconds or tokens with its price, scope and term. An advance is credited when its invoice is paid.

    `invoice_id` is that invoice, for a refusal to name; to billing it is the invoice that says which grant it is of.
    `project_id` and `gpu_type` narrow its scope; `activated_at` is when it was credited; `reason` says why it was given
    or made void. With `term_months` it begins when it is paid, at the earliest, and lasts so long. `rollover` says how
    much of it goes on into its contract's renewal where it is unused.
    `compensates_id` is the grant that a compensation came back of; one in `arrears` is billed as it is used.
    """

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("expires_at IS NULL OR expires_at >= effective_at", name="expires_no_earlier_than_it_begins"),
        CheckConstraint("rollover_percent BETWEEN 1 AND 100", name="rollover_is_a_share"),
        CheckConstraint("NOT (advance AND arrears)", name="paid_once"),
        Index("ix_grants_expiry", "expires_at", postgresql_where=text("status = 'active'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), index=True)
    kind: Mapped[str]
    unit: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Decimal] = mapped_column(Numeric(24, 12))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))
    gpu_type: Mapped[str | None]
    priority: Mapped[int]
    advance: Mapped[bool]
    arrears: Mapped[bool] = mapped_column(default=False)
    compensates_id: Mapped[str | None] = mapped_column(ForeignKey("grants.id"))
    invoice_id: Mapped[str | None]
    status: Mapped[str]
    reason: Mapped[str | None]
    term_months: Mapped[int | None]
    rollover: Mapped[str] = mapped_column(default="none")
    rollover_percent: Mapped[int] = mapped_column(default=100)
    activated_at: Mapped[datetime | None] = moment_column(nullable=True)
    effective_at: Mapped[datetime] = moment_column()
    expires_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()
