"""The reconciliation lists every difference, and looks again at what an event may have been lost of."""

from typing import Any

import pytest

from broker.month_checks import check_stripe
from broker.payments.stripe.client import StripeAway
from broker.payments.stripe.relay import StripeRelay
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, staff_key
from tests.broker.payments.stripe.collecting import Collected, find_invoice, make_order, read_granted, run_down
from tests.broker.payments.stripe.fake.server import FakeStripe, Fault
from tests.broker.running_jobs import broken_rules


@pytest.fixture
async def order(api: Api, relay: StripeRelay) -> Collected:
    order = await make_order(api)
    await run_down(relay)
    return order


async def find_differences(api: Api) -> list[tuple[str, str, str]]:
    found = await api.post("/stripe/reconciliation")
    assert await api.get("/stripe/reconciliation") == found
    return [(each["kind"], each["ours"], each["theirs"]) for each in found["data"]]


async def test_equal_books_have_no_difference(api: Api, order: Collected) -> None:
    assert order.invoice_id
    assert (await api.get("/stripe/reconciliation"))["reconciled_at"] is None
    assert await find_differences(api) == []
    assert (await api.get("/stripe/reconciliation"))["reconciled_at"] is not None


async def test_payment_of_which_no_event_came_is_listed_and_booked(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, order: Collected
) -> None:
    stripe.account.pay(find_invoice(stripe, order)["id"])
    await relay.run()
    assert await read_granted(api, order) == "0.0000"
    assert await find_differences(api) == [("status", "open", "paid"), ("paid", "0.00", "2600.00")]
    await run_down(relay, clock)
    assert await read_granted(api, order) == "500.0000"
    assert await find_differences(api) == []
    assert await broken_rules(system) == {}


async def test_what_was_made_by_hand_there_is_listed(api: Api, stripe: FakeStripe, order: Collected) -> None:
    made = find_invoice(stripe, order)
    by_hand = {"customer": made["customer"], "currency": "cny"}
    stripe.account.create_invoice({**by_hand, "number": "1"})
    stripe.account.create_invoice({**by_hand, "number": "2", "metadata": {"broker_id": order.invoice_id}})
    stripe.account.create_invoice({**by_hand, "number": "3", "metadata": {"broker_id": "inv_gone"}})
    assert [kind for kind, _ours, _theirs in await find_differences(api)] == ["missing_here", "twice", "not_ours"]


async def test_refund_and_balance_by_hand_are_listed(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, order: Collected
) -> None:
    paid = stripe.account.pay(find_invoice(stripe, order)["id"])
    await find_differences(api)
    await run_down(relay, clock)
    stripe.account.create_refund({"payment_intent": paid["payment"]["payment_intent"], "amount": 100})
    next(iter(stripe.account.customers.values()))["balance"] = -500
    assert await find_differences(api) == [("balance", "0", "-500"), ("refund", "nothing", "100")]


async def test_invoice_that_stands_still_is_listed_with_why(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await relay.plan()
    await relay.send_next()
    next(iter(stripe.account.customers.values()))["balance"] = -1000
    await run_down(relay, clock)
    (stuck, *_rest) = await find_differences(api)
    assert stuck[:2] == ("stuck", "not finalized: amount_due is 259000 there and 260000 here")
    assert order.invoice_id


async def test_event_that_is_never_handled_is_listed(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, order: Collected, system: System
) -> None:
    made = find_invoice(stripe, order)
    stripe.account.pay(made["id"])
    payment = next(iter(stripe.account.payments.values()))
    payment["currency"] = "usd"
    await find_differences(api)
    await relay.run()
    clock.advance(hours=2)
    (event,) = [each for each in await find_differences(api) if each[0] == "event"]
    assert "is in usd, our books are in cny" in event[1]
    assert await broken_rules(system) == {}


async def test_many_invoices_are_read_page_by_page(api: Api, stripe: FakeStripe, order: Collected) -> None:
    made = find_invoice(stripe, order)
    for number in range(205):
        stripe.account.create_invoice({"customer": made["customer"], "currency": "cny", "number": f"x{number}"})
    assert len(await find_differences(api)) == 205


async def test_stripe_that_does_not_answer_is_told(api: Api, stripe: FakeStripe) -> None:
    def break_down(method: str, path: str) -> None:
        raise ConnectionError(method, path)

    stripe.before_call = break_down
    problem = await api.post("/stripe/reconciliation", expect=503)
    assert "Stripe did not answer" in problem["detail"]


async def test_differences_are_for_finance(api: Api) -> None:
    for role, status in (("finance", 200), ("ops", 403)):
        async with Api.connect(api.app, await staff_key(api, role)) as other:
            await other.get("/stripe/reconciliation", expect=status)


async def test_months_list_has_what_differs(api: Api, system: System, stripe: FakeStripe, order: Collected) -> None:
    async def read_point() -> tuple[int, Any]:
        async with system.work() as work:
            found = await check_stripe(work, "2026-11")
            assert found.blocks
            return found.open, found.examples

    assert await read_point() == (1, []), "nobody has compared them"
    await find_differences(api)
    assert await read_point() == (0, [])
    stripe.account.pay(find_invoice(stripe, order)["id"])
    await find_differences(api)
    assert await read_point() == (2, [f"status: {order.invoice_id}", f"paid: {order.invoice_id}"])


async def test_daily_reconciliation_says_in_the_log_what_differs(
    relay: StripeRelay, stripe: FakeStripe, order: Collected, caplog: Any
) -> None:
    stripe.account.pay(find_invoice(stripe, order)["id"])
    await relay.reconcile()
    assert f"our books and Stripe differ: paid of {order.invoice_id}" in caplog.text


async def test_step_without_an_answer_is_listed_after_an_hour(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    stripe.fail("/v1/customers", *[Fault.BUSY] * 20)
    order = await make_order(api)
    for _ in range(4):
        await relay.run()
        clock.advance(minutes=16)
    (waiting,) = await find_differences(api)
    assert waiting[:2] == ("waiting", f"customer of {order.customer_id}")


async def test_key_that_stripe_does_not_know_is_one_line(relay: StripeRelay, stripe: FakeStripe) -> None:
    def break_down(method: str, path: str) -> None:
        raise ConnectionError(method, path)

    stripe.before_call = break_down
    for act in (relay.run, relay.reconcile):
        with pytest.raises(StripeAway, match="Stripe cannot be"):
            await act()
