"""API shapes of manual adjustments."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from broker import errors
from broker.billing.adjustments import AdjustmentKind, BadDebt, CreditAdjustment, GrantAdjustment
from broker.billing.tables import Adjustment
from broker.http.shapes import MOST, Currency, MoneyOut, Reason, RequestBody, Yuan, created_at_field, read_fields
from pricing.money import Money
from pricing.usage import Unit

# What each kind says, and what it may leave out.
NEEDED = {
    AdjustmentKind.GRANT: {"grant_id", "quantity"},
    AdjustmentKind.CREDIT: {"contract_id", "amount"},
    AdjustmentKind.BAD_DEBT: {"invoice_id"},
}
ALLOWED = {**NEEDED, AdjustmentKind.BAD_DEBT: {"invoice_id", "amount"}}


class AdjustmentIn(RequestBody):
    kind: AdjustmentKind = Field(
        description="`grant`: units of a grant; `credit`: a customer's credit; `bad_debt`: an invoice nobody will pay.",
        examples=["grant"],
    )
    grant_id: str | None = Field(default=None, description="The grant, of kind grant.", examples=["gra_01k"])
    contract_id: str | None = Field(default=None, description="Whose credit, of kind credit.", examples=["con_01k"])
    invoice_id: str | None = Field(default=None, description="The invoice, of kind bad_debt.", examples=["inv_01k"])
    quantity: Annotated[int, Field(ge=-MOST, le=MOST)] | None = Field(
        default=None,
        description="GPU-seconds or tokens that the grant gets; below zero it loses them.",
        examples=[3600],
    )
    amount: Yuan | None = Field(
        default=None,
        description="Yuan of credit, below zero to take them; or what is given up: by default all that is due, below "
        "zero to have it owed again, as where it is paid after all.",
        examples=["10.00"],
    )
    currency: Currency = "CNY"
    reason: Reason

    def read_adjustment(self) -> GrantAdjustment | CreditAdjustment | BadDebt:
        """Read what is to be adjusted. Raises: InvalidRequest, naming the field that is missing or too many."""
        self._check_fields()
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        if self.grant_id is not None and self.quantity is not None:
            return GrantAdjustment(self.grant_id, self.quantity, self.reason)
        if self.contract_id is not None and amount is not None:
            return CreditAdjustment(self.contract_id, amount, self.reason)
        assert self.invoice_id is not None, "the fields were checked"
        return BadDebt(self.invoice_id, amount, self.reason)

    def _check_fields(self) -> None:
        for name in ("grant_id", "contract_id", "invoice_id", "quantity", "amount"):
            given = getattr(self, name) is not None
            if name in NEEDED[self.kind] and not given:
                raise errors.invalid_field(name, f"is needed of kind {self.kind.value}")
            if given and name not in ALLOWED[self.kind]:
                raise errors.invalid_field(name, f"has no meaning of kind {self.kind.value}")
            if given and not getattr(self, name):
                raise errors.invalid_field(name, "must not be zero or empty: it would adjust nothing")


class AdjustmentOut(BaseModel):
    id: str = Field(description="Adjustment id.", examples=["adj_01k"])
    object: Literal["adjustment"] = Field(default="adjustment", description="Kind of object.", examples=["adjustment"])
    customer_id: str = Field(description="Whose it is.", examples=["cus_01k"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    kind: AdjustmentKind = Field(description="What was adjusted.", examples=["grant"])
    grant_id: str | None = Field(description="The grant.", examples=["gra_01k"])
    invoice_id: str | None = Field(description="The invoice that was given up.", examples=["inv_01k"])
    unit: Literal["gpu_seconds", "tokens", "micro_yuan"] = Field(
        description="What was adjusted is in this unit.", examples=["gpu_seconds"]
    )
    quantity: int = Field(description="So much of it, in its unit.", examples=[3600])
    amount: MoneyOut | None = Field(
        description="The same as money, where it is.", examples=[{"amount": "10.00", "currency": "CNY"}]
    )
    reason: str = Field(description="Why.", examples=["Hours lost in the move of a data centre"])
    author: str = Field(description="The key that made it.", examples=["key_01k"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Adjustment) -> "AdjustmentOut":
        own = read_fields(cls, row)
        amount = MoneyOut.of_micros(row.quantity) if row.unit == Unit.MICRO_YUAN else None
        return cls.model_validate({**own, "amount": amount})
