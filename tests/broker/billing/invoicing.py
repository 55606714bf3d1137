"""Builders of final invoices, and what stands on the accounts of money after."""

from typing import Any

from sqlalchemy import select

from broker.ledger.tables import Account
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.running_jobs import HOUR, report_usage, settle, start_job


async def read_money(system: System, customer: Customer) -> dict[str, str]:
    """Read the balances of the accounts of money that are not zero: what was debited less what was credited."""
    async with system.work() as work:
        query = select(Account.kind, Account.balance).where(
            Account.contract_id == customer.contract["id"],
            Account.unit == "micro_yuan",
            Account.balance != 0,
            Account.kind.not_in(["held", "used", "budget", "budget_issued", "borne", "borne_issued"]),
        )
        return {kind: Money(balance).format_amount() for kind, balance in await work.session.execute(query)}


async def use(system: System, customer: Customer, gpu_seconds: int, tokens: int = 0) -> None:
    job = await start_job(system, customer, gpu_seconds=gpu_seconds, tokens=tokens)
    await report_usage(system, job, gpu_seconds=gpu_seconds, tokens=tokens)
    await settle(system, job)


async def bill(api: Api, customer: Customer, month: str) -> Any:
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": month}, expect=201)
    return await api.post(f"/invoices/{draft['id']}/finalize")


async def bill_ten_hours(api: Api, system: System, clock: ManualClock, **terms: str) -> tuple[Customer, Any]:
    """Bill ten hours at 6.80 to a customer, in a final invoice of November."""
    customer = await make_ready_customer(api, **terms)
    await use(system, customer, 10 * HOUR)
    clock.advance(days=30)
    return customer, await bill(api, customer, "2026-11")
