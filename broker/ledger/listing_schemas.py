"""API shapes of the books: accounts and entries."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, created_at_field, read_fields
from broker.ledger.books.model import AccountKind
from broker.ledger.reading.listing import AccountBalance, BookedEntry
from pricing.usage import Unit

UnitName = Literal["gpu_seconds", "tokens", "micro_yuan"]


class AccountOut(BaseModel):
    id: str = Field(description="Account id.", examples=["acc_01k"])
    object: Literal["ledger_account"] = Field(
        default="ledger_account", description="Kind of object.", examples=["ledger_account"]
    )
    customer_id: str | None = Field(description="Whose it is; null: the house's own.", examples=["cus_01k"])
    contract_id: str | None = Field(description="The contract; null: the house's own.", examples=["con_01k"])
    unit: UnitName = Field(description="What it counts.", examples=["micro_yuan"])
    kind: AccountKind = Field(description="What the units in it are.", examples=["receivable"])
    grant_id: str | None = Field(description="The grant that it is of.", examples=["gra_01k"])
    month: str | None = Field(description="The billing month whose budget it is.", examples=["2026-11"])
    cause: str | None = Field(description="For what the house bears what is in it.", examples=["machine_lost"])
    balance: int = Field(description="Debited less credited, in its unit.", examples=[2600000000])
    amount: MoneyOut | None = Field(
        description="The same as money, where it is.", examples=[{"amount": "2600.00", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, found: AccountBalance) -> "AccountOut":
        own = read_fields(cls, found.account)
        return cls.model_validate(
            {**own, "balance": found.balance, "amount": write_money(found.account.unit, found.balance)}
        )


class EntryOut(BaseModel):
    id: str = Field(description="Entry id.", examples=["ent_17"])
    object: Literal["ledger_entry"] = Field(
        default="ledger_entry", description="Kind of object.", examples=["ledger_entry"]
    )
    transfer_id: str = Field(description="The transfer that it is part of.", examples=["tra_01k"])
    kind: str = Field(description="What the transfer was for.", examples=["usage_invoiced"])
    reference: str | None = Field(description="The document or the intervals that it is for.", examples=["inv_01k"])
    hold_id: str | None = Field(description="The hold that it moved units of.", examples=["hol_01k"])
    contract_id: str | None = Field(description="The contract; null: the house's own.", examples=["con_01k"])
    debit_account_id: str = Field(description="The account that got the units.", examples=["acc_01k"])
    credit_account_id: str = Field(description="The account that gave them.", examples=["acc_02k"])
    unit: UnitName = Field(description="What was moved.", examples=["micro_yuan"])
    quantity: int = Field(description="How much, above zero, in the unit.", examples=[2600000000])
    amount: MoneyOut | None = Field(
        description="The same as money, where it is.", examples=[{"amount": "2600.00", "currency": "CNY"}]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, booked: BookedEntry) -> "EntryOut":
        entry, transfer = booked.entry, booked.transfer
        return cls.model_validate(
            {
                "id": f"ent_{entry.id}",
                "transfer_id": transfer.id,
                "kind": transfer.kind,
                "reference": transfer.reference,
                "hold_id": transfer.hold_id,
                "contract_id": transfer.contract_id,
                "debit_account_id": entry.debit_account_id,
                "credit_account_id": entry.credit_account_id,
                "unit": entry.unit,
                "quantity": entry.amount,
                "amount": write_money(entry.unit, entry.amount),
                "created_at": transfer.created_at,
            }
        )


def write_money(unit: str, quantity: int) -> MoneyOut | None:
    return MoneyOut.of_micros(quantity) if unit == Unit.MICRO_YUAN else None
