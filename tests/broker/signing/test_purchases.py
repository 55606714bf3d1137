"""Orders of hours and tokens: paid, cancelled, not paid in time, paid too late; and those that a rule makes."""

from datetime import timedelta
from typing import Any

import pytest

from broker.daemon.sweeps import Sweeps
from broker.ledger import service as ledger
from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import (
    Api,
    amend_contract,
    customer_api,
    make_customer,
    make_ready_customer,
    sign_contract,
    submit_job,
)
from tests.broker.running_jobs import HOUR, broken_rules, read_balance, start_job

PREPAID = "prepaid"


async def buy(api: Api, contract_id: str, *, expect: int = 201, **fields: Any) -> Any:
    body = {"contract_id": contract_id, "gpu_hours": "50", **fields}
    return await api.post(
        "/purchases", {name: value for name, value in body.items() if value is not None}, expect=expect
    )


async def sweep(system: System) -> None:
    await Sweeps(system).sweep_purchases()


async def read_credit(system: System, contract_id: str) -> int:
    async with system.work() as work:
        rows = await ledger.list_accounts(work, contract_id)
        return -sum(row.balance for row in rows if row.kind == "customer_credit")


async def test_paid_order_credits_its_hours_once_from_its_payment_on(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan=PREPAID, ends_at="2029-01-01T00:00:00Z")
    async with customer_api(api, customer.id) as own:
        order = await buy(own, customer.contract["id"])
    assert (order["status"], order["unit_price"], order["total"]["amount"]) == ("open", "5.2", "260.00")
    assert order["expires_at"] == "2026-12-10T04:00:00Z"
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 500 * HOUR
    clock.advance(days=3)
    for _twice in range(2):
        paid = await api.post(f"/invoices/{order['invoice_id']}/pay")
        assert (paid["status"], paid["total"]["amount"]) == ("paid", "260.00")
    assert (await api.get(f"/purchases/{order['id']}"))["status"] == "paid"
    grant = await api.get(f"/grants/{order['grant_id']}")
    assert (grant["effective_at"], grant["expires_at"]) == ("2026-11-13T04:00:00Z", "2027-11-13T04:00:00Z")
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 550 * HOUR
    await api.post(f"/purchases/{order['id']}/cancel", expect=409)
    assert await broken_rules(system) == {}


async def test_tokens_are_bought_and_pay_for_tokens(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan=PREPAID)
    order = await buy(api, customer.contract["id"], gpu_hours=None, tokens=1_000_000)
    assert (order["quantity"], order["gpu_hours"], order["total"]["amount"]) == (1_000_000, None, "90.00")
    await api.post(f"/invoices/{order['invoice_id']}/pay")
    await start_job(system, customer, gpu_seconds=0, tokens=400_000)
    grant = await api.get(f"/grants/{order['grant_id']}")
    assert (grant["left"], grant["held"]) == (600_000, 400_000)


@pytest.mark.parametrize("swept", [True, False])
async def test_order_that_is_not_paid_in_time_is_over_and_a_late_payment_is_kept(
    api: Api, system: System, clock: ManualClock, swept: bool
) -> None:
    customer = await make_ready_customer(api, plan=PREPAID)
    order = await buy(api, customer.contract["id"])
    clock.now = START + timedelta(days=30)
    if swept:
        await sweep(system)
        assert (await api.get(f"/invoices/{order['invoice_id']}"))["status"] == "void"
        assert (await api.get(f"/grants/{order['grant_id']}"))["status"] == "cancelled"
    assert (await api.get(f"/purchases/{order['id']}"))["status"] == "expired"
    for _twice in range(2):
        late = await api.post(f"/invoices/{order['invoice_id']}/pay")
        assert (late["status"], late["paid_at"]) == ("void", "2026-12-10T04:00:00Z")
    await sweep(system)
    assert (await api.get(f"/purchases/{order['id']}"))["status"] == "expired"
    assert await read_credit(system, customer.contract["id"]) == 260_000_000
    assert (await read_balance(system, customer.contract["id"])).granted_gpu_seconds == 500 * HOUR
    assert await broken_rules(system) == {}


async def test_order_paid_at_its_last_moment_counts(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan=PREPAID)
    order = await buy(api, customer.contract["id"])
    clock.now = START + timedelta(days=30) - timedelta(microseconds=1)
    assert (await api.post(f"/invoices/{order['invoice_id']}/pay"))["status"] == "paid"
    clock.advance(days=1)
    await sweep(system)
    assert (await api.get(f"/purchases/{order['id']}"))["status"] == "paid"


async def test_cancelled_order_stays_so_and_its_payment_is_kept(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan=PREPAID)
    order = await buy(api, customer.contract["id"])
    for _twice in range(2):
        assert (await api.post(f"/purchases/{order['id']}/cancel"))["status"] == "cancelled"
    await api.post(f"/invoices/{order['invoice_id']}/pay")
    assert (await api.get(f"/purchases/{order['id']}"))["status"] == "cancelled"
    assert await read_credit(system, customer.contract["id"]) == 260_000_000
    [told] = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="grant_cancelled"))["data"]
    facts = {"grant_id": order["grant_id"], "invoice_id": order["invoice_id"], "not_paid_in_time": False}
    assert told["data"] == facts
    [kept] = (await api.get(f"/contracts/{customer.contract['id']}/events", kind="payment_credited"))["data"]
    assert kept["data"] == {"invoice_id": order["invoice_id"], "amount": "260.00"}
    assert await broken_rules(system) == {}


async def test_advance_that_is_paid_after_its_contract_is_kept_as_a_credit(
    api: Api, system: System, clock: ManualClock
) -> None:
    """Else its hours would be credited and expire in the next tick, and the money with them."""
    customer = await make_customer(api)
    terms = {"plan": PREPAID, "committed_gpu_hours": 500, "ends_at": "2026-12-01T00:00:00Z"}
    contract = await sign_contract(api, customer["id"], **terms)
    clock.now = START.replace(month=12, day=1, hour=0)
    late = await api.post(f"/invoices/{contract['advance_invoice_id']}/pay")
    assert (late["status"], late["due"]["amount"]) == ("void", "0.00")
    assert await read_credit(system, contract["id"]) == 2_600_000_000
    assert (await read_balance(system, contract["id"])).granted_gpu_seconds == 0
    assert await broken_rules(system) == {}


async def test_hours_that_begin_later_wait_and_end_with_their_contract(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan=PREPAID, ends_at="2027-03-01T00:00:00Z")
    order = await buy(api, customer.contract["id"], effective_at="2026-12-01T00:00:00Z", rollover="carry")
    await api.post(f"/invoices/{order['invoice_id']}/pay")
    grant = await api.get(f"/grants/{order['grant_id']}")
    assert (grant["status"], grant["effective_at"]) == ("scheduled", "2026-12-01T00:00:00Z")
    assert (grant["expires_at"], grant["rollover"]) == ("2027-03-01T00:00:00Z", "carry")
    clock.now = START.replace(year=2027, month=3, day=2)
    await buy(api, customer.contract["id"], expect=409)


async def test_nothing_is_bought_before_the_contracts_own_advance_is_paid(api: Api) -> None:
    """Else one hour would open the price of five hundred."""
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan=PREPAID, committed_gpu_hours=500)
    problem = await buy(api, contract["id"], expect=402, gpu_hours="1")
    assert problem["invoice_id"] == contract["advance_invoice_id"]


async def test_what_was_ordered_before_opens_no_price_of_hours_paid_ahead(api: Api) -> None:
    """A guard: one hour that was ordered on demand let jobs run at the price of five hundred that nobody had paid."""
    customer = await make_ready_customer(api)
    order = await buy(api, customer.contract["id"], gpu_hours="1")
    await api.post(f"/invoices/{order['invoice_id']}/pay")
    amended = await amend_contract(api, customer.contract["id"], plan=PREPAID, committed_gpu_hours=500)
    problem = await submit_job(api, customer.dataset["id"], customer_id=customer.id, expect=402)
    assert problem["invoice_id"] == amended["invoice_id"]
    await api.post(f"/invoices/{amended['invoice_id']}/pay")
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)


async def test_bad_order_is_refused_by_its_field(api: Api) -> None:
    customer, other = await make_ready_customer(api, plan=PREPAID), await make_ready_customer(api, plan=PREPAID)
    bad: list[tuple[dict[str, Any], str]] = [
        ({"gpu_hours": "-1"}, "gpu_hours"),
        ({"gpu_hours": "1e12"}, "gpu_hours"),
        ({"gpu_hours": None, "tokens": 2**60}, "tokens"),
        ({"term_months": 0}, "term_months"),
        ({"term_months": 121}, "term_months"),
        ({"rollover": "some"}, "rollover"),
        ({"rollover_percent": 101}, "rollover_percent"),
        ({"effective_at": "2026-10-01T00:00:00Z"}, "effective_at"),
        ({"scope": {"gpu_type": "abacus"}}, "scope.gpu_type"),
    ]
    for fields, field in bad:
        problem = await buy(api, customer.contract["id"], expect=422, **fields)
        assert [error["field"] for error in problem["errors"]] == [field], problem
    async with customer_api(api, other.id) as stranger:
        await buy(stranger, customer.contract["id"], expect=404)
    assert (await api.get("/purchases"))["data"] == []


async def test_contract_orders_more_by_itself_one_order_at_a_time(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan=PREPAID)
    path = f"/contracts/{customer.contract['id']}/top-up"
    await api.get(path, expect=404)
    async with customer_api(api, customer.id) as own:
        await own.post(path, {"threshold_gpu_hours": 100, "purchase_gpu_hours": 200})
        assert (await own.get(path))["purchase_gpu_hours"] == 200
    await sweep(system)
    assert await orders(api) == []
    await start_job(system, customer, gpu_seconds=401 * HOUR, tokens=0)
    for _tick in range(2):
        await sweep(system)
    assert await orders(api) == [("open", True, 200 * HOUR)]
    await check_standing(api, customer.id)
    first = (await api.get("/purchases"))["data"][0]
    await api.post(f"/purchases/{first['id']}/cancel")
    await sweep(system)
    assert await orders(api) == [("open", True, 200 * HOUR), ("cancelled", True, 200 * HOUR)]
    await api.post(f"/invoices/{(await api.get('/purchases'))['data'][0]['invoice_id']}/pay")
    await api.call("DELETE", path, expect=200)
    clock.advance(days=1)
    await sweep(system)
    assert [order[0] for order in await orders(api)] == ["paid", "cancelled"]


async def check_standing(api: Api, customer_id: str) -> None:
    """Check that the list of rules says what is free, that it is too little, and which order waits to be paid."""
    (standing,) = (await api.get("/top-ups"))["data"]
    (order,) = (await api.get("/purchases", status="open"))["data"]
    told = (standing["free_gpu_hours"], standing["is_due"], standing["open_purchase_id"])
    assert told == ("99.0000", True, order["id"])
    async with customer_api(api, customer_id) as own:
        assert (await own.get("/top-ups"))["data"] == [standing]
    stranger = await make_customer(api)
    async with customer_api(api, stranger["id"]) as other:
        assert (await other.get("/top-ups"))["data"] == []


async def orders(api: Api) -> list[tuple[str, bool, int]]:
    listed = (await api.get("/purchases"))["data"]
    return [(order["status"], order["automatic"], order["quantity"]) for order in listed]


async def test_contract_that_owes_its_own_advance_orders_nothing_by_itself(api: Api, system: System) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan=PREPAID, committed_gpu_hours=500)
    await api.post(f"/contracts/{contract['id']}/top-up", {"threshold_gpu_hours": 100, "purchase_gpu_hours": 200})
    await sweep(system)
    assert await orders(api) == []


async def test_orders_are_found_by_what_became_of_them(api: Api, clock: ManualClock) -> None:
    """An order whose time is over is expired before the sweep has seen it."""
    customer = await make_ready_customer(api, plan=PREPAID, ends_at="2029-01-01T00:00:00Z")
    overdue = await buy(api, customer.contract["id"])
    clock.advance(days=40)
    paid, cancelled, left = [await buy(api, customer.contract["id"]) for _ in range(3)]
    await api.post(f"/invoices/{paid['invoice_id']}/pay")
    await api.post(f"/purchases/{cancelled['id']}/cancel")
    found = {"expired": overdue, "paid": paid, "cancelled": cancelled, "open": left}
    for status, order in found.items():
        page = await api.get("/purchases", contract_id=customer.contract["id"], status=status)
        assert [(each["id"], each["status"]) for each in page["data"]] == [(order["id"], status)]
    assert [each["id"] for each in (await api.get("/purchases", id_prefix=left["id"][:28]))["data"]] == [left["id"]]
    assert (await api.get("/grants", id_prefix=left["grant_id"]))["data"][0]["invoice_id"] == left["invoice_id"]
    assert (await api.get("/purchases", status="lost", expect=422))["errors"][0]["field"] == "status"
