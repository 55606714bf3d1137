"""API shapes of chargebacks, and of how a dispute is lost."""

from typing import Annotated

from pydantic import Field

from broker.billing.dispute_model import Remedy
from broker.http.plain_text import PlainLine
from broker.http.shapes import Reason, RequestBody, Yuan
from broker.payments.chargebacks import Chargeback
from pricing.money import Money


class ChargebackIn(RequestBody):
    reason: Reason
    invoice_id: str | None = Field(
        default=None, description="Which of the invoices that it came for; needed for several.", examples=["inv_01k"]
    )
    contract_id: str | None = Field(
        default=None,
        description="Which contract's credit, where it was claimed for no invoice; needed for several.",
        examples=["con_01k"],
    )
    amount: Annotated[Yuan | None, Field(gt=0)] = Field(
        default=None,
        description="Yuan; default: all that came for the invoice, what is a credit too; or for the contract's credit.",
        examples=["100.00"],
    )
    case_number: PlainLine | None = Field(
        default=None, max_length=100, description="The case's number at the bank or provider.", examples=["dp_1"]
    )

    def read_chargeback(self, payment_id: str) -> Chargeback:
        amount = None if self.amount is None else Money.from_decimal(self.amount)
        return Chargeback(payment_id, self.reason, self.invoice_id, self.contract_id, amount, self.case_number)


class LostIn(RequestBody):
    remedy: Remedy | None = Field(
        default=None,
        description="Of a line: credit_note, the default, or bad_debt. Of a chargeback: due_again, the default, or "
        "bad_debt.",
        examples=["credit_note"],
    )
