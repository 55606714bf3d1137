"""API shapes of arrears."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.arrears.extensions import NewExtension
from broker.arrears.model import DebtKind, ExtensionKind
from broker.arrears.tables import ArrearsChange, ArrearsDeletion, ArrearsExtension, ArrearsRecord
from broker.arrears.views import ArrearsView, find_worst
from broker.billing.parties import Issuer
from broker.billing.reference import make_reference
from broker.config import Settings
from broker.contracts.terms.arrears import ALLOWED, ArrearsState, DataKept, Paying, Use
from broker.http.shapes import MoneyOut, Reason, RequestBody, created_at_field, read_fields
from pricing.money import Money

OWED_EXAMPLE = {"amount": "4200.00", "currency": "CNY"}


class ExtensionIn(RequestBody):
    until: date = Field(description="The last day that it has, in the contract's time zone.", examples=["2026-12-15"])
    kind: ExtensionKind = Field(
        default=ExtensionKind.EXTENSION,
        description="`promise_to_pay`: the customer has promised to; `extension`: it may take longer; `shortened`: the "
        "time that was given ends on that day instead.",
        examples=["promise_to_pay"],
    )
    reason: Reason

    def read_extension(self, contract_id: str) -> NewExtension:
        return NewExtension(contract_id, self.kind, self.until, self.reason)


class DebtOut(BaseModel):
    kind: DebtKind = Field(description="An overdue invoice, or money below zero.", examples=["overdue_invoice"])
    object_id: str = Field(description="The invoice, or the contract.", examples=["inv_01k"])
    number: str | None = Field(description="The invoice's number.", examples=["INV-2026-000001"])
    reference: str | None = Field(
        description="What to write into the bank transfer (附言), by which it is matched.",
        examples=["RF18INV2026000001"],
    )
    amount: MoneyOut = Field(description="What is due of it.", examples=[OWED_EXAMPLE])
    disputed: MoneyOut = Field(
        description="What of it is disputed, and does not count.", examples=[{"amount": "0.00", "currency": "CNY"}]
    )
    since: date = Field(description="The first day on which it was arrears.", examples=["2026-12-08"])

    @classmethod
    def of(cls, debt: Mapping[str, Any]) -> "DebtOut":
        number = debt["number"]
        return cls(
            kind=debt["kind"],
            object_id=debt["object_id"],
            number=number,
            reference=None if number is None else make_reference(number),
            amount=MoneyOut.of_micros(debt["amount_micros"]),
            disputed=MoneyOut.of_micros(debt["disputed_micros"]),
            since=date.fromisoformat(debt["since"]),
        )


class AllowedOut(BaseModel):
    submit: Use = Field(description="Which jobs are taken.", examples=["within_paid_grants"])
    running: Use = Field(
        description="How far jobs go on; what is beyond pauses after a checkpoint, reason `arrears`.", examples=["all"]
    )
    buy_on_credit: bool = Field(description="Whether more hours or tokens can be ordered.", examples=[False])
    payment: Paying = Field(description="What a payment does; it is always taken.", examples=["pays_and_resumes"])
    download: bool = Field(description="Whether adapters can be downloaded.", examples=[True])
    data: DataKept = Field(description="What becomes of data sets, checkpoints, adapters.", examples=["kept"])

    @classmethod
    def of(cls, state: ArrearsState) -> "AllowedOut":
        allowed = ALLOWED[state]
        return cls(
            submit=allowed.submit,
            running=allowed.running,
            buy_on_credit=allowed.buy,
            payment=allowed.paying,
            download=allowed.download,
            data=allowed.data,
        )


class ArrearsOut(BaseModel):
    id: str | None = Field(description="Its record; null: it never was in arrears.", examples=["arr_01k"])
    object: Literal["arrears"] = Field(default="arrears", description="Kind of object.", examples=["arrears"])
    customer_id: str = Field(description="Whose contract it is.", examples=["cus_01k"])
    contract_id: str = Field(description="Which contract.", examples=["con_01k"])
    state: ArrearsState = Field(description="How far it is in arrears.", examples=["grace"])
    since: date | None = Field(description="The first day of the state.", examples=["2026-12-08"])
    until: date | None = Field(
        description="The first day of the next state, if nothing is paid; null: there is none.", examples=["2026-12-15"]
    )
    owed: MoneyOut = Field(description="What is overdue; paid, the contract is current again.", examples=[OWED_EXAMPLE])
    debts: list[DebtOut] = Field(description="What it consists of, the oldest first.", examples=[[]])
    deletion_on: date | None = Field(
        description="The day from which data sets, checkpoints and adapters are deleted, once that is announced.",
        examples=[None],
    )
    allowed: AllowedOut = Field(description="What it may do in this state.", examples=[{"submit": "all"}])
    changed_at: datetime | None = Field(description="When that was decided (UTC).", examples=["2026-12-08T00:00:05Z"])

    @classmethod
    def of(cls, row: ArrearsRecord) -> "ArrearsOut":
        return cls(**_tell_record(row))


def _tell_record(row: ArrearsRecord) -> dict[str, Any]:
    state = ArrearsState(row.state)
    return {
        "id": row.id,
        "customer_id": row.customer_id,
        "contract_id": row.contract_id,
        "state": state,
        "since": row.since_on,
        "until": row.until_on,
        "owed": MoneyOut.of(row.owed),
        "debts": [DebtOut.of(debt) for debt in row.debts],
        "deletion_on": row.deletion_on,
        "allowed": AllowedOut.of(state),
        "changed_at": row.changed_at,
    }


class ArrearsChangeOut(BaseModel):
    before: ArrearsState = Field(description="The state of before.", examples=["current"])
    after: ArrearsState = Field(description="The state since.", examples=["grace"])
    owed: MoneyOut = Field(description="What was overdue then.", examples=[OWED_EXAMPLE])
    debts: list[DebtOut] = Field(description="What that consisted of.", examples=[[]])
    until: date | None = Field(description="Until when it was to last then.", examples=["2026-12-15"])
    deletion_on: date | None = Field(description="The day of deletion that was announced.", examples=[None])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: ArrearsChange) -> "ArrearsChangeOut":
        return cls(
            before=ArrearsState(row.before),
            after=ArrearsState(row.after),
            owed=MoneyOut.of_micros(row.owed_micros),
            debts=[DebtOut.of(debt) for debt in row.debts],
            until=row.until_on,
            deletion_on=row.deletion_on,
            created_at=row.created_at,
        )


class ArrearsExtensionOut(BaseModel):
    id: str = Field(description="Extension id.", examples=["arx_01k"])
    kind: ExtensionKind = Field(description="Why there is more time, or less.", examples=["promise_to_pay"])
    first: date = Field(description="The first day that does not count.", examples=["2026-12-10"])
    until: date = Field(description="The last one.", examples=["2026-12-15"])
    reason: str = Field(description="Why, as finance told it.", examples=["Payment promised by phone"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: ArrearsExtension) -> "ArrearsExtensionOut":
        return cls(
            id=row.id,
            kind=ExtensionKind(row.kind),
            first=row.first_on,
            until=row.last_on,
            reason=row.reason,
            created_at=row.created_at,
        )


class ArrearsDeletionOut(BaseModel):
    id: str = Field(description="Record id.", examples=["ard_01k"])
    object: Literal["arrears_deletion"] = Field(
        default="arrears_deletion", description="Kind of object.", examples=["arrears_deletion"]
    )
    kind: Literal["dataset", "adapter", "checkpoint"] = Field(description="What was deleted.", examples=["adapter"])
    object_id: str = Field(description="Which one.", examples=["ada_01k"])
    size_bytes: int = Field(description="What its file took.", examples=[8388608])
    announced_on: date = Field(description="The day that was announced for it.", examples=["2027-01-30"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: ArrearsDeletion) -> "ArrearsDeletionOut":
        own = read_fields(cls, row)
        return cls.model_validate(own)


class ArrearsWithHistoryOut(ArrearsOut):
    history: list[ArrearsChangeOut] = Field(description="How it came there, the oldest change first.", examples=[[]])
    extensions: list[ArrearsExtensionOut] = Field(description="Time that finance has given.", examples=[[]])

    @classmethod
    def of_view(cls, view: ArrearsView) -> "ArrearsWithHistoryOut":
        return cls(
            **(_tell_none(view) if view.record is None else _tell_record(view.record)),
            history=[ArrearsChangeOut.of(row) for row in view.changes],
            extensions=[ArrearsExtensionOut.of(row) for row in view.extensions],
        )


def _tell_none(view: ArrearsView) -> dict[str, Any]:
    """Tell of a contract that never was behind."""
    nothing: dict[str, Any] = dict.fromkeys(("id", "since", "until", "deletion_on", "changed_at"))
    return nothing | {
        "customer_id": view.terms.customer_id,
        "contract_id": view.terms.id,
        "state": view.state,
        "owed": MoneyOut.of_micros(0),
        "debts": [],
        "allowed": AllowedOut.of(view.state),
    }


class PayToOut(BaseModel):
    name: str = Field(description="Whom to pay (收款单位).", examples=["青茶算力有限公司"])
    bank: str = Field(description="Its bank (开户行).", examples=["工商银行苏州分行"])
    account: str = Field(description="Its account (账号).", examples=["1102 0200"])
    references: list[str] = Field(
        description="Write these into the transfer (附言): they name the invoices.", examples=[["RF18INV2026000001"]]
    )


class CustomerArrearsOut(BaseModel):
    object: Literal["customer_arrears"] = Field(
        default="customer_arrears", description="Kind of object.", examples=["customer_arrears"]
    )
    customer_id: str = Field(description="Whose they are.", examples=["cus_01k"])
    state: ArrearsState = Field(description="The worst state of its contracts.", examples=["grace"])
    owed: MoneyOut = Field(description="What is overdue under all of them.", examples=[OWED_EXAMPLE])
    pay_to: PayToOut = Field(description="How to pay it by bank transfer.", examples=[{"references": []}])
    contracts: list[ArrearsWithHistoryOut] = Field(description="How each contract stands.", examples=[[]])

    @classmethod
    def of(cls, customer_id: str, views: Sequence[ArrearsView], settings: Settings) -> "CustomerArrearsOut":
        shown = [ArrearsWithHistoryOut.of_view(view) for view in views]
        owed = sum((view.record.owed for view in views if view.record is not None), Money.zero())
        issuer = Issuer.of(settings)
        references = [debt.reference for each in shown for debt in each.debts if debt.reference is not None]
        return cls(
            customer_id=customer_id,
            state=find_worst(views),
            owed=MoneyOut.of(owed),
            pay_to=PayToOut(name=issuer.name, bank=issuer.bank, account=issuer.bank_account, references=references),
            contracts=shown,
        )
