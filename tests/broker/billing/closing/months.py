"""Builders of a November with usage, and what stands of it after it was closed."""

from datetime import UTC, datetime

from sqlalchemy import select

from broker.billing.closing.driving import run_closings
from broker.billing.tables import Invoice
from broker.ledger.reading.journal import list_journal
from broker.system import System
from tests.broker.billing.invoicing import use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer

NOVEMBER, DECEMBER = "2026-11", "2026-12"
THIRD_OF_DECEMBER = datetime(2026, 12, 3, 1, tzinfo=UTC)


async def make_november(api: Api, system: System, clock: ManualClock, *, customers: int = 3) -> list[Customer]:
    """Make customers who have each used something in November, one more who has not; it is December then."""
    made = [await make_ready_customer(api) for _ in range(customers)]
    for count, customer in enumerate(made, start=1):
        await use(system, customer, 3600 * count, 1000)
    idle = await make_ready_customer(api)
    clock.now = THIRD_OF_DECEMBER
    return [*made, idle]


async def close_november(api: Api, system: System, *, accept: tuple[str, ...] = (), size: int = 2) -> str:
    """Close November to its end, in batches of so many contracts; returns the status that it has then."""
    await api.post("/closings", {"month": NOVEMBER, "accept": list(accept)}, expect=202)
    await run_closings(system, (), size=size)
    closing = await api.get(f"/closings/{NOVEMBER}")
    return str(closing["status"])


async def list_numbers(system: System) -> dict[str, str | None]:
    """List the numbers of invoices by their contracts."""
    async with system.work() as work:
        rows = await work.session.execute(select(Invoice.contract_id, Invoice.number))
        return dict(rows.all())


async def read_journal(system: System, month: str) -> list[tuple[object, ...]]:
    """Read what stands in the journal of a month."""
    async with system.work() as work:
        lines = await list_journal(work, month)
    return [(line.voucher, line.day, line.account.code, line.debit, line.credit, line.reference) for line in lines]
