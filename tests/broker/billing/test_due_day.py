"""Invoices say when they are due, by the days to pay that an amendment gives from its date on."""

from datetime import UTC, datetime

from alembic import command

from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from tests.broker.billing.invoicing import bill
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, amend_contract, make_ready_customer


async def test_final_invoices_say_when_they_are_due_and_drafts_do_not(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, payment_days=10)
    contract_id = customer.contract["id"]
    await amend_contract(api, contract_id, payment_days=45, effective_at="2027-01-01T00:00:00Z")
    clock.now = datetime(2026, 12, 20, tzinfo=UTC)
    draft = await api.post("/invoices", {"contract_id": contract_id, "month": "2026-12"}, expect=201)
    november = await bill(api, customer, "2026-11")
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    december = await bill(api, customer, "2026-12")
    assert (draft["due_on"], november["due_on"], december["due_on"]) == (None, "2026-12-30", "2027-02-16")


async def test_order_is_due_before_it_is_over(api: Api, clock: ManualClock) -> None:
    customer: Customer = await make_ready_customer(api, payment_days=90)
    order = await api.post("/purchases", {"contract_id": customer.contract["id"], "gpu_hours": "10"}, expect=201)
    invoice = await api.get(f"/invoices/{order['invoice_id']}")
    assert invoice["due_on"] <= order["expires_at"][:10]


async def test_invoices_of_before_are_due_by_the_days_and_the_zone_of_their_moment(
    api: Api, clock: ManualClock, urls: DatabaseUrls
) -> None:
    """The migration took the zone that the contract had been signed with, also after an amendment of it."""
    customer = await make_ready_customer(api, payment_days=10, time_zone="UTC")
    terms = {"time_zone": "Asia/Shanghai", "payment_days": 47}  # neither is due on a day off
    await amend_contract(api, customer.contract["id"], **terms, effective_at="2027-01-01T00:00:00Z")
    clock.now = datetime(2026, 12, 20, 20, tzinfo=UTC)
    november = await bill(api, customer, "2026-11")
    clock.now = datetime(2027, 2, 2, 20, tzinfo=UTC)
    january = await bill(api, customer, "2027-01")
    assert (november["due_on"], january["due_on"]) == ("2026-12-30", "2027-03-22")
    assert urls.owner is not None
    config = alembic_config(urls.owner)
    command.downgrade(config, "0046")
    command.upgrade(config, "head")
    again = [(await api.get(f"/invoices/{each['id']}"))["due_on"] for each in (november, january)]
    assert again == [november["due_on"], january["due_on"]]
