"""Builders of customers who owe: with an overdue invoice under a contract that sells hours, and one with paid hours."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.arrears.sweep import sweep
from broker.system import System
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_customer, sign_contract, sign_prepaid, submit_job, upload_dataset

LENGTHS = {"grace_days": 2, "suspended_days": 3, "retention_days": 5}
# Noon in Shanghai of the first day of arrears: November's invoices are final, and due, on the 1st of December.
BILLED, FIRST_DAY = datetime(2026, 12, 1, 4, tzinfo=UTC), datetime(2026, 12, 2, 4, tzinfo=UTC)
DAY_OF = {"current": -1, "grace": 0, "suspended": 2, "retention": 5, "closed": 10}


@dataclass
class Debtor:
    """A customer with two contracts that are in the same state: one sells hours on credit, one has paid for hours."""

    on_credit: Customer
    paid: Customer
    invoices: list[Any]

    @property
    def id(self) -> str:
        return self.on_credit.id


async def make_debtor(api: Api, system: System, clock: ManualClock) -> Debtor:
    """Make a customer whose invoices of November are final, and due today."""
    customer = await make_customer(api)
    terms = {"payment_days": 0, "arrears": LENGTHS}
    on_credit = await sign_contract(api, customer["id"], **terms)
    paid = await sign_prepaid(api, customer["id"], contract_number="HT-2", **terms)
    dataset = await upload_dataset(api, customer["id"])
    debtor = Debtor(Customer(customer["id"], on_credit, dataset), Customer(customer["id"], paid, dataset), [])
    for each in (debtor.on_credit, debtor.paid):
        await use(system, each, 3600, tokens=100_000)
    clock.now = BILLED
    debtor.invoices = [await bill(api, each, "2026-11") for each in (debtor.on_credit, debtor.paid)]
    return debtor


async def bring_to(system: System, clock: ManualClock, state: str) -> None:
    """Let the days pass up to the first one of a state, with a sweep on the first day of each state."""
    for each, day in DAY_OF.items():
        clock.now = FIRST_DAY + timedelta(days=day)
        await sweep(system)
        if each == state:
            return


async def read_state(api: Api, customer: Customer) -> str:
    return str((await api.get(f"/contracts/{customer.contract['id']}/arrears"))["state"])


async def submit(api: Api, customer: Customer, *, expect: int = 201) -> Any:
    """Submit a job under the very contract of a customer."""
    fields = {"customer_id": customer.id, "contract_id": customer.contract["id"]}
    return await submit_job(api, customer.dataset["id"], expect=expect, **fields)
