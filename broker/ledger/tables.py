"""The double-entry ledger: accounts, transfers, entries; holds with their legs; captures, and their sums by price.

Units: GPU-seconds, tokens, micro-yuan. Entries and captures are never updated or deleted (a trigger refuses it).
"""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class Account(Base):
    """An account with its balance: what was debited less what was credited.

    The database itself refuses to oversell: only a source, or an account of money, may go below zero, and what the
    house owes never above it. An account of the house's own, such as receipts that match nothing, has no contract; one
    of fapiao has a customer only. `cause` is that of what the house bears.
    """

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        UniqueConstraint(
            "contract_id",
            "customer_id",
            "unit",
            "kind",
            "grant_id",
            "month",
            "cause",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("balance >= 0 OR may_go_negative", name="not_oversold"),
        CheckConstraint("balance <= 0 OR may_go_positive", name="not_overspent"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str | None] = mapped_column(ForeignKey("contracts.id"))
    unit: Mapped[str]
    kind: Mapped[str]
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("grants.id"))
    month: Mapped[str | None]
    cause: Mapped[str | None]
    may_go_negative: Mapped[bool]
    may_go_positive: Mapped[bool]
    balance: Mapped[int]


class Transfer(Base):
    """One act on the books. `booked_on` is the day that money is booked on, of the house's calendar.

    What moves no money has none, nor has what earlier releases wrote: it is that of `created_at`. A trigger refuses
    one in a month that is closed (migration 0093).
    """

    __tablename__ = "ledger_transfers"
    __table_args__ = (
        ForeignKeyConstraint(["contract_id", "customer_id"], ["contracts.id", "contracts.customer_id"]),
        CheckConstraint("contract_id IS NULL OR customer_id IS NOT NULL", name="contract_of_a_customer"),
        Index("ix_ledger_transfers_booked_on", "booked_on", postgresql_where=text("booked_on IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None]
    contract_id: Mapped[str | None] = mapped_column(index=True)
    kind: Mapped[str]
    hold_id: Mapped[str | None]
    reference: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()
    booked_on: Mapped[date | None]


class Entry(Base):
    """Units from the account that is credited to the one that is debited: a transfer cannot be out of balance.

    It has the customer of its accounts. That they and its transfer are there is a rule of `broker ledger verify`.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str | None]
    transfer_id: Mapped[str] = mapped_column(index=True)
    debit_account_id: Mapped[str] = mapped_column(index=True)
    credit_account_id: Mapped[str] = mapped_column(index=True)
    unit: Mapped[str]
    amount: Mapped[int]


class ReserveVersion(Base):
    """The version of what a contract can give to new holds: another one as soon as that may be more, or by other rules.

    Triggers write it (migration 0076). What is taken leaves it as it is.
    """

    __tablename__ = "reserve_versions"
    __table_args__ = (ForeignKeyConstraint(["contract_id", "customer_id"], ["contracts.id", "contracts.customer_id"]),)

    contract_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    version: Mapped[int]


class Hold(Base):
    """A two-phase reservation for one job: placed, captured in parts, then settled; or expired.

    `month` is the billing month whose budget it reserves money of; it moves on with the months. Project and GPU type
    are where the job's usage comes from: they decide which grants pay for it.
    """

    __tablename__ = "holds"
    __table_args__ = (
        ForeignKeyConstraint(["contract_id", "customer_id"], ["contracts.id", "contracts.customer_id"]),
        UniqueConstraint("contract_id", "idempotency_key"),
        Index("ix_holds_placed_expiry", "expires_at", postgresql_where=text("state = 'placed'")),
        Index("ix_holds_placed_contract", "contract_id", postgresql_where=text("state = 'placed'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    contract_id: Mapped[str]
    job_id: Mapped[str] = mapped_column(unique=True)
    idempotency_key: Mapped[str]
    project_id: Mapped[str | None]
    gpu_type: Mapped[str | None]
    month: Mapped[str]
    state: Mapped[str]
    expires_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)


class HoldLeg(Base):
    """One part of a hold: from which account, out of which grant, at which unit price, and whether it is billed later.

    `unit_price` is yuan per GPU-hour or per token; a leg in micro-yuan has none, but the `month` whose budget it is of.
    `borne`: the house bears it, since it goes beyond what the customer was promised. `extends`: added after the hold
    was placed; such a leg grows with whatever else comes from the same source at the same price. `compensated`: what of
    it was released of a grant that was over, and given as a compensation. It has its hold's customer.
    """

    __tablename__ = "hold_legs"
    __table_args__ = (
        UniqueConstraint("hold_id", "position"),
        CheckConstraint("held >= 0 AND captured >= 0 AND released >= 0", name="not_negative"),
        CheckConstraint("captured + released <= held", name="within_held"),
        CheckConstraint("compensated >= 0 AND compensated <= released", name="compensated_within_released"),
        Index("ix_hold_legs_grant", "grant_id", postgresql_where=text("grant_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    hold_id: Mapped[str]
    position: Mapped[int]
    unit: Mapped[str]
    account_id: Mapped[str]
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("grants.id"))
    unit_price: Mapped[Decimal | None] = mapped_column(Numeric(24, 12))
    month: Mapped[str | None]
    borne: Mapped[bool]
    extends: Mapped[bool]
    billable: Mapped[bool]
    held: Mapped[int]
    captured: Mapped[int]
    released: Mapped[int]
    compensated: Mapped[int] = mapped_column(default=0)

    @property
    def open_quantity(self) -> int:
        """Tell what is neither captured nor released of it."""
        return self.held - self.captured - self.released


class Capture(Base):
    """Usage of intervals charged to one leg: what every invoice line is made of.

    It covers the intervals of the run from `first_sequence` to `last_sequence`, together with the other captures of the
    same intervals: their usage is that of the captures, whole. `used_month` is the month that it is of, `month` the one
    that bills it. What is `borne` is on no invoice, but in the margin report, by its `cause`. One that takes back what
    another charged, or bears it instead, names that one as `corrects_id`; what is taken back is below zero. `plan` is
    the one whose price it has, by that version of the card; null: a grant's price, or an earlier release charged it.
    `added_by`: the correction of this id charged it beside what its intervals said at first.
    """

    __tablename__ = "captures"
    __table_args__ = (
        Index(
            "uq_captures_run_id_first_sequence_leg_id",
            "run_id",
            "first_sequence",
            "leg_id",
            "added_by",
            unique=True,
            postgresql_where=text("corrects_id IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("first_sequence <= last_sequence", name="sequences_in_order"),
        CheckConstraint("borne = (cause IS NOT NULL)", name="borne_for_a_cause"),
        CheckConstraint("quantity > 0 OR corrects_id IS NOT NULL", name="only_a_correction_takes_back"),
        Index("ix_captures_contract_month", "contract_id", "month", "created_at"),
        Index("ix_captures_grant", "grant_id", "id", postgresql_where=text("grant_id IS NOT NULL")),
        Index("ix_captures_borne", "month", postgresql_where=text("borne")),
        Index("ix_captures_corrects", "corrects_id", postgresql_where=text("corrects_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str]
    contract_id: Mapped[str]
    job_id: Mapped[str] = mapped_column(index=True)
    run_id: Mapped[str]
    first_sequence: Mapped[int]
    last_sequence: Mapped[int]
    leg_id: Mapped[str] = mapped_column(ForeignKey("hold_legs.id"))
    grant_id: Mapped[str | None]
    unit: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Decimal] = mapped_column(Numeric(24, 12))
    borne: Mapped[bool]
    cause: Mapped[str | None]
    billable: Mapped[bool]
    rate_card_version: Mapped[str]
    plan: Mapped[str | None]
    month: Mapped[str]
    used_month: Mapped[str]
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("captures.id"))
    added_by: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()


class SegmentTotal(Base):
    """What customers pay for in one rate segment: the sum of its captures, kept beside them so that it is read at once.

    An invoice rounds it once. `billable` is false where an advance has paid for it. `used_month` is the month that the
    usage is of: an earlier one where that was closed before the usage came.
    """

    __tablename__ = "rate_segments"

    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    used_month: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    unit_price: Mapped[Decimal] = mapped_column(Numeric(24, 12), primary_key=True)
    billable: Mapped[bool] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    quantity: Mapped[int]


class LineTotal(Base):
    """A job's share of a rate segment: the sum of its captures, and a line of the invoice.

    `leads`: the segment's first line, where its job has a promise (`pricing/rounding.py`). The version is that of the
    rate card by which the line was first priced. `credited_micros`: what of it, once it is on a final invoice, credit
    notes have given back or nobody will pay.
    """

    __tablename__ = "rate_lines"
    __table_args__ = (Index("ix_rate_lines_contract_month", "contract_id", "month"),)

    job_id: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    used_month: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    unit_price: Mapped[Decimal] = mapped_column(Numeric(24, 12), primary_key=True)
    billable: Mapped[bool] = mapped_column(primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    rate_card_version: Mapped[str]
    quantity: Mapped[int]
    leads: Mapped[bool]
    credited_micros: Mapped[int] = mapped_column(server_default="0")


class RateCorrection(Base):
    """What of a closed month's line an open month's invoice takes back: so many units, and the fen charged for them.

    `corrected_month` is the month whose final invoice has the line. `quantity` is above zero. `credited_micros` is what
    of the line was given back otherwise by then: together it never comes to more than the line.
    """

    __tablename__ = "rate_corrections"
    __table_args__ = (
        CheckConstraint("quantity > 0 AND amount_micros >= 0", name="takes_back"),
        Index("ix_rate_corrections_contract_month", "contract_id", "month"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"))
    job_id: Mapped[str] = mapped_column(index=True)
    month: Mapped[str]
    corrected_month: Mapped[str]
    used_month: Mapped[str]
    unit: Mapped[str]
    unit_price: Mapped[Decimal] = mapped_column(Numeric(24, 12))
    billable: Mapped[bool]
    rate_card_version: Mapped[str]
    quantity: Mapped[int]
    amount_micros: Mapped[int]
    credited_micros: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = moment_column()


class ClosedMonth(Base):
    """A billing month of a contract whose invoice is final: usage reported later is billed in a later month."""

    __tablename__ = "closed_months"

    contract_id: Mapped[str] = mapped_column(ForeignKey("contracts.id"), primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    closed_at: Mapped[datetime] = moment_column()


class ClosedPeriod(Base):
    """A calendar month of the house whose books are closed: no money is booked into it any more; a record."""

    __tablename__ = "closed_periods"

    month: Mapped[str] = mapped_column(primary_key=True)
    closed_by: Mapped[str]
    closed_at: Mapped[datetime] = moment_column()
