"""API shapes of reminders."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, created_at_field
from broker.notices.reminders import Reminder
from pricing.money import Money


class ReminderOut(BaseModel):
    id: str = Field(description="Reminder id, that of the contract's event.", examples=["coe_01k"])
    object: Literal["reminder"] = Field(default="reminder", description="Kind of object.", examples=["reminder"])
    invoice_id: str = Field(description="Of which invoice.", examples=["inv_01k"])
    number: str = Field(description="Its number.", examples=["INV-2026-000001"])
    customer_id: str = Field(description="Who was reminded.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    owed: MoneyOut = Field(
        description="What was overdue of it then.", examples=[{"amount": "4200.00", "currency": "CNY"}]
    )
    due_on: date = Field(description="Its last day to pay.", examples=["2026-12-31"])
    days_overdue: int = Field(description="So many days after that.", examples=[12])
    contacts: int = Field(description="How many contacts are told; GET /v1/notices says how far.", examples=[2])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, reminder: Reminder) -> "ReminderOut":
        facts = reminder.facts
        return cls(
            id=reminder.id,
            invoice_id=facts["invoice_id"],
            number=facts["number"],
            customer_id=reminder.customer_id,
            contract_id=reminder.contract_id,
            owed=MoneyOut.of(Money.from_decimal(facts["owed"])),
            due_on=facts["due_on"],
            days_overdue=facts["days_overdue"],
            contacts=facts["contacts"],
            created_at=reminder.created_at,
        )
