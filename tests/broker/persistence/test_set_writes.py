"""Rows written in sets: of those that are there already, the sum is kept."""

from decimal import Decimal
from typing import Any

from sqlalchemy import select

from broker.ledger.tables import SegmentTotal
from broker.persistence.set_writes import command_inserts
from broker.system import System
from tests.broker.factories import Api, make_ready_customer


async def test_rows_that_are_there_have_their_sum_added(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)

    def row(price: str, quantity: int) -> dict[str, Any]:
        own = {"contract_id": customer.contract["id"], "customer_id": customer.id, "month": "2026-11"} | {
            "used_month": "2026-11"
        }
        return own | {"unit": "tokens", "unit_price": Decimal(price), "billable": True, "quantity": quantity}

    for quantity in (1, 10):
        async with system.work() as work:
            rows = [row("0.00012", quantity), row("0.00009", 100)][: 2 if quantity == 1 else 1]
            await work.run_together(command_inserts(SegmentTotal, rows, adding="quantity"))
    async with system.work() as work:
        found = await work.session.execute(select(SegmentTotal.unit_price, SegmentTotal.quantity))
        assert {row.unit_price: row.quantity for row in found} == {Decimal("0.00012"): 11, Decimal("0.00009"): 100}


async def test_rows_that_are_there_are_left_as_they_are_where_a_set_skips_them(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    own = {"contract_id": customer.contract["id"], "customer_id": customer.id, "month": "2026-11"}
    row = own | {"used_month": "2026-11", "unit": "tokens", "unit_price": Decimal("0.00012"), "billable": True}
    for quantity in (1, 10):
        async with system.work() as work:
            rows = [row | {"quantity": quantity}, row | {"quantity": quantity, "used_month": f"2026-{quantity:02d}"}]
            await work.run_together(command_inserts(SegmentTotal, rows, skipping=True))
    async with system.work() as work:
        found = await work.session.execute(select(SegmentTotal.used_month, SegmentTotal.quantity))
        assert {row.used_month: row.quantity for row in found} == {"2026-11": 1, "2026-01": 1, "2026-10": 10}
