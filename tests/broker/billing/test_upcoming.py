"""What the month under way comes to by now: cut at now, by contract, and of nobody else."""

from broker.system import System
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.running_jobs import HOUR


async def test_upcoming_is_what_was_used_by_now_and_becomes_the_invoice(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(
        api,
        plan="long_term",
        committed_gpu_hours=2000,
        contract_number="HT-7",
        tax_mode="on_top",
        tax_rate="0.06",
        ends_at="2026-12-01T00:00:00Z",
    )
    other = await make_ready_customer(api)
    await use(system, customer, 2 * HOUR, 1000)
    async with customer_api(api, customer.id) as own:
        (upcoming,) = (await own.get("/invoices/upcoming"))["data"]
        assert (await own.get("/invoices/upcoming", contract_id=other.contract["id"], expect=404))["status"] == 404
    assert (upcoming["contract_number"], upcoming["month"]) == ("HT-7", "2026-11")
    # Of 2,000 hours that the term commits to, 1,998 are unused: nobody is charged for what can still be used.
    assert [line["kind"] for line in upcoming["lines"]] == ["usage", "usage", "tax"]
    assert upcoming["total"]["amount"] == "8.54"  # 2 × 4.00 + 0.06, and 6 % of it
    assert upcoming["tax"]["amount"] == "0.48"
    hours = upcoming["lines"][0]
    assert (hours["list_price"], hours["list_amount"]["amount"]) == ("6.8", "13.60")
    assert (await api.get("/invoices", contract_id=customer.contract["id"]))["data"] == []
    clock.advance(days=40)
    final = await bill(api, customer, "2026-11")
    assert final["lines"][:2] == upcoming["lines"][:2]
    (found,) = (await api.get("/invoices", contract_number="HT-7"))["data"]
    assert found["id"] == final["id"]
