"""An invoice on its way to Stripe and back, through the real client: sent as it is, paid once, changed as books do."""

from typing import Any

import pytest
from sqlalchemy import text

from broker.payments.model import PaymentSource, Receipt
from broker.payments.receiving import record_receipts
from broker.payments.stripe.invoices import list_to_plan
from broker.payments.stripe.relay import StripeRelay
from broker.persistence.database import Scope
from broker.system import System
from pricing.money import Money
from tests.broker.billing.invoicing import read_money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer
from tests.broker.payments.stripe.collecting import (
    Collected,
    collect,
    collect_month,
    find_invoice,
    make_order,
    read_granted,
    run_down,
    send_events,
)
from tests.broker.payments.stripe.fake.server import FakeStripe
from tests.broker.running_jobs import broken_rules


async def test_order_is_asked_for_paid_once_and_its_grant_credited_only_then(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await run_down(relay)
    shown = await api.get(f"/invoices/{order.invoice_id}")
    made = find_invoice(stripe, order)
    assert shown["payment_url"] == made["hosted_invoice_url"]
    assert (made["status"], made["total"], made["number"]) == ("open", 260_000, shown["number"])
    assert await read_granted(api, order) == "0.0000"
    stripe.account.pay(made["id"])
    for event in [each for each in stripe.account.events if not each["type"].startswith("invoice")]:
        stripe.account.events.remove(event)
    await send_events(api, stripe, clock)
    await run_down(relay)
    paid = await api.get(f"/invoices/{order.invoice_id}")
    assert (paid["status"], paid["due"]["amount"], paid["payment_url"]) == ("paid", "0.00", None)
    assert await read_granted(api, order) == "500.0000"
    assert await broken_rules(system) == {}


async def test_charge_that_succeeded_credits_nothing_while_the_invoice_is_not_paid(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await run_down(relay)
    stripe.account.events.clear()
    stripe.account.tell("payment_intent.succeeded", {"id": "pi_1", "object": "payment_intent"})
    stripe.account.tell("charge.succeeded", {"id": "ch_1", "object": "charge"})
    stripe.account.tell("invoice.paid", find_invoice(stripe, order))
    await send_events(api, stripe, clock)
    await run_down(relay)
    assert await read_granted(api, order) == "0.0000", "the invoice itself is fetched, and it is open"


async def test_month_is_sent_line_by_line_in_our_own_fen(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, purchase_order="PO-7781", contract_number="HT-2026-017")
    month = await collect_month(api, system, clock, customer, gpu_seconds=95, tokens=12_840)
    await run_down(relay)
    made, ours = find_invoice(stripe, month), await api.get(f"/invoices/{month.invoice_id}")
    assert [line["amount"] for line in made["lines"]["data"]] == [18, 154]
    assert [line["description"] for line in made["lines"]["data"]] == [line["description"] for line in ours["lines"]]
    assert (made["auto_advance"], made["collection_method"], made["currency"]) == (False, "send_invoice", "cny")
    assert made["custom_fields"] == [
        {"name": "Contract", "value": "HT-2026-017"},
        {"name": "Purchase order", "value": "PO-7781"},
    ]
    assert all(call.params["auto_advance"] == "false" for call in stripe.posts("/v1/invoices/in_.*/finalize"))


async def test_nothing_is_sent_for_customers_whom_nobody_named(
    api: Api, relay: StripeRelay, stripe: FakeStripe
) -> None:
    order = await make_order(api)
    await collect(api, order.customer_id, collects=False)
    await run_down(relay)
    assert [call.path for call in stripe.calls] == ["/v1/account"]


async def test_job_lines_beyond_250_go_as_one_a_rate_segment_with_the_list_of_jobs(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    async with system.database.transaction(Scope.ALL) as session:
        await copy_line(session, order.invoice_id, 260)
    await run_down(relay)
    made = find_invoice(stripe, order)
    assert [line["amount"] for line in made["lines"]["data"]] == [260_000 + 259 * 100 - 25_900]
    assert f"/v1/invoices/{order.invoice_id}?format=csv" in made["footer"]
    assert (await api.get(f"/stripe/invoices/{order.invoice_id}"))["is_summary"] is True


async def copy_line(session: Any, invoice_id: str, count: int) -> None:
    """Split the one line of an order into many that add up to it, as a month with many jobs has."""
    await session.execute(
        text(
            "INSERT INTO invoice_lines (customer_id, invoice_id, position, kind, description, meter, quantity,"
            " unit_price, grants, overage, amount_micros)"
            " SELECT customer_id, invoice_id, position + n, kind, 'part', meter, 1, unit_price, grants, 0, 1000000"
            " FROM invoice_lines, generate_series(1, :more) n WHERE invoice_id = :id"
        ),
        {"more": count - 1, "id": invoice_id},
    )
    await session.execute(
        text(
            "UPDATE invoice_lines SET amount_micros = amount_micros - :micros WHERE invoice_id = :id AND position = 1"
        ),
        {"micros": (count - 1) * 1_000_000, "id": invoice_id},
    )


async def test_credit_note_before_payment_makes_stripe_ask_for_less(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    month = await collect_month(api, system, clock, await make_ready_customer(api))
    await run_down(relay)
    await credit(api, month, "0.80")
    await run_down(relay)
    made = find_invoice(stripe, month)
    assert (made["total"], made["amount_remaining"]) == (692, 612)
    stripe.account.pay(made["id"])
    await send_events(api, stripe, clock)
    await run_down(relay)
    assert (await api.get(f"/invoices/{month.invoice_id}"))["status"] == "paid"
    assert len(stripe.account.credit_notes) == 1
    assert await broken_rules(system) == {}


async def test_credit_note_after_payment_leaves_no_balance_at_stripe(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    month = await collect_month(api, system, clock, await make_ready_customer(api))
    await run_down(relay)
    stripe.account.pay(find_invoice(stripe, month)["id"])
    await send_events(api, stripe, clock)
    await run_down(relay)
    await credit(api, month, "0.80")
    await run_down(relay)
    (note,) = stripe.account.credit_notes.values()
    assert note["out_of_band_amount"] == 80, "our books have the credit; Stripe would use its own up by itself"
    assert all(each["balance"] == 0 for each in stripe.account.customers.values())


async def test_credit_note_before_the_sending_is_taken_off_once(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    month = await collect_month(api, system, clock, await make_ready_customer(api))
    await credit(api, month, "0.80")
    await run_down(relay)
    made = find_invoice(stripe, month)
    assert [line["amount"] for line in made["lines"]["data"]] == [680, 12, -80]
    assert (made["amount_remaining"], stripe.account.credit_notes) == (612, {})


async def credit(api: Api, month: Collected, amount: str) -> None:
    lines = [{"position": 1, "amount": amount}]
    await api.post("/credit-notes", {"invoice_id": month.invoice_id, "reason": "Slow", "lines": lines}, expect=201)


async def test_void_order_is_void_there(api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock) -> None:
    order = await buy(api, await make_order(api))
    await run_down(relay)
    await api.post(f"/purchases/{order.contract['id']}/cancel")
    await run_down(relay)
    made = find_invoice(stripe, order)
    assert made["status"] == "void"
    assert (await api.get(f"/invoices/{order.invoice_id}"))["payment_url"] is None


async def test_invoice_that_is_made_void_here_is_void_there_and_no_credit_note(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    month = await collect_month(api, system, clock, await make_ready_customer(api))
    await run_down(relay)
    await api.post(f"/invoices/{month.invoice_id}/void", {"reason": "Billed to the wrong company"})
    await run_down(relay)
    assert find_invoice(stripe, month)["status"] == "void"
    assert len(stripe.account.credit_notes) == 0
    assert (await api.get(f"/stripe/invoices/{month.invoice_id}"))["settled"]
    assert (await api.get(f"/invoices/{month.invoice_id}"))["payment_url"] is None
    async with system.work() as work:
        assert await list_to_plan(work) == []
    assert await broken_rules(system) == {}


async def buy(api: Api, order: Collected) -> Collected:
    """Order more hours beside the contract's own, which are paid by a transfer."""
    await api.post(f"/invoices/{order.invoice_id}/pay")
    body = {"contract_id": order.contract["id"], "gpu_hours": 100}
    bought = await api.post("/purchases", body, expect=201)
    return Collected(order.customer_id, bought, bought["invoice_id"])


async def test_order_cancelled_before_it_was_final_there_is_deleted(
    api: Api, relay: StripeRelay, stripe: FakeStripe
) -> None:
    order = await buy(api, await make_order(api))
    await relay.plan()
    for _ in range(2):
        await relay.send_next()
    await api.post(f"/purchases/{order.contract['id']}/cancel")
    await run_down(relay)
    assert stripe.account.invoices == {}
    assert (await api.get(f"/stripe/invoices/{order.invoice_id}"))["status"] == "deleted"


async def test_invoice_paid_by_a_transfer_is_settled_there(api: Api, relay: StripeRelay, stripe: FakeStripe) -> None:
    order = await make_order(api)
    await run_down(relay)
    await api.post(f"/invoices/{order.invoice_id}/pay")
    await run_down(relay)
    made = find_invoice(stripe, order)
    assert (made["status"], made["paid_out_of_band"], stripe.account.payments) == ("paid", True, {})
    assert await read_granted(api, order) == "500.0000"


async def test_part_paid_by_credit_makes_stripe_ask_for_the_rest(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    month = await collect_month(api, system, clock, await make_ready_customer(api))
    await run_down(relay)
    adjustment = {"kind": "credit", "contract_id": month.contract["id"], "amount": "5.00", "reason": "Sorry"}
    await api.post("/adjustments", adjustment, expect=201)
    await api.post(f"/invoices/{month.invoice_id}/pay", {"from_credit": True})
    await run_down(relay)
    assert find_invoice(stripe, month)["amount_remaining"] == 192


@pytest.mark.parametrize("first", ["transfer", "stripe"])
async def test_second_payment_beside_a_transfer_is_the_customers_credit(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, first: str
) -> None:
    order = await make_order(api)
    await run_down(relay)
    made = find_invoice(stripe, order)
    if first == "transfer":
        await api.post(f"/invoices/{order.invoice_id}/pay")
    stripe.account.pay(made["id"])
    await send_events(api, stripe, clock)
    await run_down(relay)
    if first == "stripe":
        await pay_by_transfer(api, system, order, "2600.00")
    assert await read_granted(api, order) == "500.0000", "credited once"
    assert await read_credit(system, order) == "-2600.00"
    assert await broken_rules(system) == {}


async def pay_by_transfer(api: Api, system: System, order: Collected, amount: str, serial: str = "1") -> None:
    """Have the bank tell of a transfer that names the invoice."""
    remark = (await api.get(f"/invoices/{order.invoice_id}"))["payment_reference"]
    async with system.work() as work:
        came = Receipt(
            PaymentSource.BANK_TRANSFER, "6222", serial, Money.from_decimal(amount), work.now.date(), remark=remark
        )
        await record_receipts(work, [came])


async def read_credit(system: System, order: Collected) -> str | None:
    """Read the customer's credit; None: there is none."""
    balances = await read_money(system, Customer(order.customer_id, order.contract, None))
    return balances.get("customer_credit")


async def test_hosted_link_paid_twice_is_credit_and_never_a_second_grant(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await run_down(relay)
    made = find_invoice(stripe, order)
    stripe.account.pay(made["id"])
    stripe.account.pay(made["id"])
    await send_events(api, stripe, clock)
    await run_down(relay)
    assert await read_granted(api, order) == "500.0000"
    assert await read_credit(system, order) == "-2600.00"
    assert await broken_rules(system) == {}


async def test_customer_sees_its_own_and_no_one_elses(api: Api, relay: StripeRelay, stripe: FakeStripe) -> None:
    order, other = await make_order(api), await make_order(api)
    await run_down(relay)
    async with customer_api(api, order.customer_id) as own:
        assert [each["invoice_id"] for each in (await own.get("/stripe/invoices"))["data"]] == [order.invoice_id]
        await own.get(f"/stripe/invoices/{other.invoice_id}", expect=404)


async def test_payment_of_an_order_that_is_over_is_credit(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await buy(api, await make_order(api))
    await run_down(relay)
    stripe.account.pay(find_invoice(stripe, order)["id"])
    clock.advance(days=31)
    await send_events(api, stripe, clock)
    await run_down(relay)
    assert (await api.get(f"/invoices/{order.invoice_id}"))["status"] == "void"
    assert await broken_rules(system) == {}


async def test_invoice_owed_again_is_asked_for_again(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await relay.plan()
    for _ in range(3):
        await relay.send_next()
    await pay_by_transfer(api, system, order, "1000.00")
    await pay_by_transfer(api, system, order, "1600.00", serial="2")
    await run_down(relay)
    assert stripe.account.invoices == {}, "it was a draft yet"
    (*_first, payment) = (await api.get("/payments"))["data"]
    await api.post(f"/payments/{payment['id']}/unclaim", {"reason": "Not theirs"})
    await run_down(relay)
    made = find_invoice(stripe, order)
    assert (made["status"], made["amount_remaining"]) == ("open", 100_000)
    assert await broken_rules(system) == {}


async def test_credit_that_comes_and_goes_in_odd_fen_stays_whole(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    """Others lost a fen at each top-up of a wallet, and another where it paid."""
    order = await make_order(api)
    await run_down(relay)
    made = find_invoice(stripe, order)
    stripe.account.pay(made["id"])
    odd = [1, 2, 3_333, 6_667, 99, 12_345]
    for fen in odd:
        stripe.account.pay(made["id"], fen)
    await send_events(api, stripe, clock)
    await run_down(relay)
    assert await read_credit(system, order) == f"-{sum(odd) / 100:.2f}"
    bought = await buy_hours(api, order)
    for _ in range(2):
        await api.post(f"/invoices/{bought}/pay", {"from_credit": True})
    left = sum(odd) - 10_400
    assert await read_credit(system, order) == f"-{left / 100:.2f}"
    assert await broken_rules(system) == {}


async def buy_hours(api: Api, order: Collected) -> str:
    """Order 20 hours at 5.20."""
    bought = await api.post("/purchases", {"contract_id": order.contract["id"], "gpu_hours": 20}, expect=201)
    return str(bought["invoice_id"])


async def test_credit_note_above_what_stripe_was_asked_for_is_no_step_there(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    month = await collect_month(api, system, clock, await make_ready_customer(api))
    adjustment = {"kind": "credit", "contract_id": month.contract["id"], "amount": "6.42", "reason": "Sorry"}
    await api.post("/adjustments", adjustment, expect=201)
    await api.post(f"/invoices/{month.invoice_id}/pay", {"from_credit": True})
    await run_down(relay)
    for amount in ("1.00", "2.00"):
        await credit(api, month, amount)
        await run_down(relay)
    (note,) = stripe.account.credit_notes.values()
    assert (note["total"], find_invoice(stripe, month)["status"]) == (50, "paid"), "0.50 was all that was asked for"
    assert (await api.get(f"/stripe/invoices/{month.invoice_id}"))["problem"] is None
    assert await broken_rules(system) == {}
