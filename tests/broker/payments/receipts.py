"""Builders of statement lines, and of invoices that can be paid by them."""

import itertools
from dataclasses import dataclass
from typing import Any

from tests.broker.factories import Api, make_customer, sign_contract

SERIALS = itertools.count(1)


def line(amount: str, remark: str = "", **fields: str) -> dict[str, str]:
    """Write a line of a statement, with a serial number of its own and a day before the tests' clock."""
    usual = {"serial": f"S{next(SERIALS):06d}", "value_on": "2026-11-05", "amount": amount, "remark": remark}
    return usual | fields


@dataclass
class Debtor:
    """A customer with a prepaid contract whose advance invoice, of 2,600.00, is not paid."""

    customer_id: str
    name: str
    contract_id: str
    invoice: Any

    @property
    def reference(self) -> str:
        return str(self.invoice["payment_reference"])

    @property
    def invoice_id(self) -> str:
        return str(self.invoice["id"])


async def make_debtor(api: Api, **terms: Any) -> Debtor:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan="prepaid", committed_gpu_hours=500, **terms)
    invoice = await api.get(f"/invoices/{contract['advance_invoice_id']}")
    return Debtor(customer["id"], customer["name"], contract["id"], invoice)


async def order(api: Api, debtor: Debtor, hours: str = "10") -> Any:
    """Order hours under the contract, whose own advance must be paid; answers the invoice of the order."""
    purchase = await api.post("/purchases", {"contract_id": debtor.contract_id, "gpu_hours": hours}, expect=201)
    return await api.get(f"/invoices/{purchase['invoice_id']}")


async def import_lines(api: Api, *lines: dict[str, str], expect: int = 201) -> Any:
    return await api.post("/payments", {"lines": list(lines)}, expect=expect)


def outcomes(imported: Any) -> list[str]:
    return [each["outcome"] for each in imported["lines"]]
