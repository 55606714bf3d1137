"""Adjustments by hand: units of a grant, a customer's credit, a debt given up; each with its reason and author."""

from typing import Any

from broker.system import System
from tests.broker.billing.invoicing import bill, read_money, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import HOUR, broken_rules, read_balance


async def adjust(api: Api, kind: str, *, expect: int = 201, **fields: Any) -> Any:
    return await api.post("/adjustments", {"kind": kind, "reason": "Agreed by phone", **fields}, expect=expect)


async def test_grant_gets_hours_and_loses_those_that_are_free(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    grant = (await api.get("/grants"))["data"][0]
    more = await adjust(api, "grant", grant_id=grant["id"], quantity=10 * HOUR)
    assert (more["unit"], more["quantity"], more["amount"]) == ("gpu_seconds", 10 * HOUR, None)
    assert more["author"].startswith("key_")
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 510 * HOUR
    assert (await read_money(system, customer))["gift_costs"] == "52.00"
    await use(system, customer, 4 * HOUR)
    problem = await adjust(api, "grant", grant_id=grant["id"], quantity=-507 * HOUR, expect=422)
    assert problem["errors"][0]["field"] == "quantity"
    await adjust(api, "grant", grant_id=grant["id"], quantity=-506 * HOUR)
    assert (await read_balance(system, customer.contract["id"])).available_gpu_seconds == 0
    assert await broken_rules(system) == {}
    clock.advance(days=30)
    await bill(api, customer, "2026-11")
    money = await read_money(system, customer)
    assert money == {"cash": "2600.00", "gift_costs": "-2579.20", "revenue": "-20.80"}
    assert await broken_rules(system) == {}


async def test_many_small_changes_of_a_grant_never_add_their_roundings_up(api: Api, system: System) -> None:
    tax = {"tax_mode": "included", "tax_rate": 0.13}
    await make_ready_customer(api, plan="prepaid", **tax)
    grant_id = (await api.get("/grants"))["data"][0]["id"]
    for quantity in [4] * 8:  # 0.58 fen each
        await adjust(api, "grant", grant_id=grant_id, quantity=quantity)
    assert await broken_rules(system) == {}


async def test_credit_is_given_and_taken_back_as_far_as_there_is_any(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    contract_id = customer.contract["id"]
    given = await adjust(api, "credit", contract_id=contract_id, amount="10.00")
    assert given["amount"] == {"amount": "10.00", "currency": "CNY"}
    assert (await adjust(api, "credit", contract_id=contract_id, amount="-10.01", expect=422))["errors"][0][
        "field"
    ] == "amount"
    await adjust(api, "credit", contract_id=contract_id, amount="-4.00")
    assert await read_money(system, customer) == {"gift_costs": "6.00", "customer_credit": "-6.00"}
    assert [each["amount"]["amount"] for each in (await api.get("/adjustments"))["data"]] == ["-4.00", "10.00"]
    assert await api.get(f"/adjustments/{given['id']}") == given
    assert await broken_rules(system) == {}


async def test_invoice_that_nobody_will_pay_is_given_up(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    await use(system, customer, 10 * HOUR)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    await adjust(api, "bad_debt", invoice_id=invoice["id"], amount="8.00")
    assert (await api.get(f"/invoices/{invoice['id']}"))["due"]["amount"] == "60.00"
    await adjust(api, "bad_debt", invoice_id=invoice["id"], amount="60.01", expect=422)
    await adjust(api, "bad_debt", invoice_id=invoice["id"])
    assert (await api.get(f"/invoices/{invoice['id']}"))["status"] == "written_off"
    assert (await adjust(api, "bad_debt", invoice_id=invoice["id"], expect=409))["status_before"] == "written_off"
    assert await read_money(system, customer) == {"bad_debt": "68.00", "revenue": "-68.00"}
    assert await broken_rules(system) == {}


async def test_debt_that_was_given_up_is_owed_again_where_it_is_paid_after_all(
    api: Api, system: System, clock: ManualClock
) -> None:
    """A guard: what came for it was the customer's credit, to be used for something else."""
    customer = await make_ready_customer(api)
    await use(system, customer, 10 * HOUR)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    await adjust(api, "bad_debt", invoice_id=invoice["id"], amount="8.00")
    await api.post(f"/invoices/{invoice['id']}/pay")
    await adjust(api, "bad_debt", invoice_id=invoice["id"], amount="-8.01", expect=422)
    again = await adjust(api, "bad_debt", invoice_id=invoice["id"], amount="-8.00")
    assert again["amount"]["amount"] == "-8.00"
    shown = await api.get(f"/invoices/{invoice['id']}")
    assert (shown["status"], shown["due"]["amount"], shown["paid_at"]) == ("partly_paid", "8.00", None)
    assert (await api.post(f"/invoices/{invoice['id']}/pay"))["status"] == "paid"
    assert await read_money(system, customer) == {"cash": "68.00", "revenue": "-68.00"}
    assert await broken_rules(system) == {}


async def test_what_makes_no_sense_is_refused_and_nothing_is_written(api: Api) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    grant_id, contract_id = (await api.get("/grants"))["data"][0]["id"], customer.contract["id"]
    grant_invoice = customer.contract["advance_invoice_id"]
    for kind, fields, field in (
        ("grant", {"grant_id": grant_id}, "quantity"),
        ("grant", {"quantity": 1}, "grant_id"),
        ("grant", {"grant_id": grant_id, "quantity": 0}, "quantity"),
        ("grant", {"grant_id": grant_id, "quantity": 2**60}, "quantity"),
        ("grant", {"grant_id": grant_id, "quantity": 1, "amount": "1.00"}, "amount"),
        ("grant", {"grant_id": grant_id, "quantity": -500 * HOUR}, "quantity"),
        ("credit", {"contract_id": contract_id, "amount": "0.00"}, "amount"),
        ("credit", {"contract_id": contract_id, "amount": "0.001"}, "amount"),
        ("credit", {"contract_id": contract_id, "amount": "1.00", "currency": "EUR"}, "currency"),
        ("bad_debt", {"invoice_id": grant_invoice, "amount": "-1.00"}, "amount"),
        ("gift", {}, "kind"),
    ):
        problem = await adjust(api, kind, expect=422, **fields)
        assert problem["errors"][0]["field"] == field, (kind, fields)
    await adjust(api, "grant", grant_id="gra_none", quantity=1, expect=404)
    await adjust(api, "credit", contract_id="con_none", amount="1.00", expect=404)
    await adjust(api, "bad_debt", invoice_id="inv_none", expect=404)
    assert (await api.get("/adjustments"))["data"] == []
