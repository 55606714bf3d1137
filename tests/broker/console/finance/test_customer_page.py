"""A customer as finance sees it: the balance as of a day, settled beside pending, and a change of its plan."""

from broker.system import System
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api, make_customer, make_ready_customer, sign_prepaid
from tests.broker.http.test_paging import counted
from tests.broker.running_jobs import HOUR, start_job

PAGE = "/console/finance/customers"


async def test_a_customer_without_anything_says_so(api: Api) -> None:
    customer = await make_customer(api)
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(f"{PAGE}/{customer['id']}")
        assert [shown.state_of(each) for each in ("contracts", "grants", "invoices", "fapiao")] == ["never"] * 4
        await finance.open(f"{PAGE}/cus_x", expect=404)
        listed = await finance.open(PAGE)
        assert customer["name"] in listed.text


async def test_what_is_settled_stands_beside_what_is_pending_now_and_as_of_a_day(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    await use(system, customer, 10 * HOUR)
    await start_job(system, customer, gpu_seconds=HOUR)
    clock.advance(days=1)
    await use(system, customer, 5 * HOUR)
    at = f"{PAGE}/{customer.id}"
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(at)
        assert shown.words_of("#balance tbody tr")[0] == "GPU-hours 484.00 1.00 15.00 500.00"
        past = await finance.open(at, as_of="2026-11-10")
        assert past.words_of("#balance tbody tr")[0] == "GPU-hours 489.00 1.00 10.00 500.00"
        assert "As it was booked at the end of 2026-11-10." in past.text
        before = await finance.open(at, as_of="2026-10-01")
        assert before.words_of("#balance tbody tr")[0] == "GPU-hours 0.00 0.00 0.00 0.00"


async def test_a_change_of_plan_shows_what_it_replaces_and_the_prorated_sum_before_it_is_confirmed(
    api: Api, system: System
) -> None:
    customer = await make_ready_customer(api)
    at, contract = f"{PAGE}/{customer.id}", customer.contract["id"]
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(at)
        change = f"{at}/contracts/{contract}/change"
        few = {"plan": "prepaid", "committed_gpu_hours": "5"}
        bad = await finance.send(change, few, of=shown, form="#preview", expect=422)
        assert bad.attributes("#f-committed_gpu_hours", "value") == ["5"]
        wanted = {"plan": "prepaid", "committed_gpu_hours": "500", "reason": "Order form"}
        preview = await finance.send(change, wanted, of=shown, form="#preview", expect=200)
        assert "Plan on_demand prepaid" in preview.words_of("#change tbody tr")
        assert "¥2,600.00" in preview.text
        assert (await api.get(f"/contracts/{contract}"))["plan"] == "on_demand", "nothing is written yet"
        await finance.send(change, {}, of=preview, form="#confirm")
        assert "prepaid" in (await finance.open(at)).find("#contracts tbody tr")


async def test_statements_do_not_grow_with_contracts_and_grants(api: Api, system: System, clock: ManualClock) -> None:
    few, many = await make_ready_customer(api, plan="prepaid"), await make_ready_customer(api, plan="prepaid")
    for number in range(3):
        await sign_prepaid(api, many.id, contract_number=f"HT-{number}")
    clock.advance(days=30)
    await bill(api, many, "2026-11")
    await bill(api, few, "2026-11")
    counts = []
    async with sign_in_staff(api, "finance") as finance:
        for customer in (few, many):
            await finance.open(f"{PAGE}/{customer.id}?contract_id={customer.contract['id']}")
            with counted(system) as statements:
                await finance.open(f"{PAGE}/{customer.id}?contract_id={customer.contract['id']}")
            counts.append(len(statements))
    assert counts[0] == counts[1]
