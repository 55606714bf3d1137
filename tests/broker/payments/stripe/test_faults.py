"""One invoice and one charge, whatever goes wrong on the way: answers, crashes, two processes, races, events."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from broker.payments.stripe.client import StripeAccess
from broker.payments.stripe.relay import StripeRelay
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.payments.stripe.collecting import (
    Collected,
    find_invoice,
    find_invoices,
    make_order,
    read_granted,
    run_down,
    send_event,
    send_events,
)
from tests.broker.payments.stripe.crashing import CrashingAccess, Killed, Plan, When
from tests.broker.payments.stripe.fake.server import FakeStripe, Fault
from tests.broker.running_jobs import broken_rules

PATHS = ["/v1/customers", "/v1/invoices", "/v1/invoices/in_.*/add_lines", "/v1/invoices/in_.*/finalize"]


async def pay_and_tell(api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, order: Collected) -> None:
    stripe.account.pay(find_invoice(stripe, order)["id"])
    await send_events(api, stripe, clock)
    await run_down(relay, clock)


async def expect_one_of_each(api: Api, system: System, stripe: FakeStripe, order: Collected) -> None:
    """Expect one customer, one invoice that says what ours does, and one payment that credited one grant."""
    made = find_invoice(stripe, order)
    ours = [each for each in stripe.account.customers.values() if each["metadata"]["broker_id"] == order.customer_id]
    assert len(ours) == 1
    assert (made["status"], made["total"], len(made["lines"]["data"])) == ("paid", 260_000, 1)
    assert len([each for each in stripe.account.payments.values() if each["invoice"] == made["id"]]) == 1
    assert (await api.get(f"/invoices/{order.invoice_id}"))["status"] == "paid"
    assert await read_granted(api, order) == "500.0000"


@pytest.mark.parametrize("fault", Fault)
async def test_step_that_goes_wrong_is_done_once(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, fault: Fault
) -> None:
    for path in PATHS:
        stripe.fail(path, fault)
    order = await make_order(api)
    await run_down(relay, clock)
    assert stripe.faults == [], "each step went wrong once"
    await pay_and_tell(api, relay, stripe, clock, order)
    await expect_one_of_each(api, system, stripe, order)
    assert await broken_rules(system) == {}


async def test_saved_500_is_not_replayed_for_ever(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    stripe.fail("/v1/invoices", Fault.BROKEN, Fault.DONE_BROKEN)
    order = await make_order(api)
    await run_down(relay, clock)
    keys = [call.key for call in stripe.posts("/v1/invoices")]
    assert len(keys) == 2, "the third time it was found by our id, and not asked for"
    assert keys[1] == f"{keys[0]}:2"
    assert len(find_invoices(stripe, order)) == 1


async def test_late_retry_looks_first_since_keys_are_forgotten(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    stripe.fail("/v1/invoices", Fault.DONE_NO_ANSWER)
    order = await make_order(api)
    await relay.run()
    clock.advance(hours=30)
    await run_down(relay, clock)
    assert len(find_invoices(stripe, order)) == 1
    assert len(stripe.posts("/v1/invoices")) == 1


async def test_early_retry_has_the_same_key_and_gets_the_first_answer(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    stripe.fail("/v1/invoices/in_.*/finalize", Fault.DONE_NO_ANSWER)
    order = await make_order(api)
    await run_down(relay, clock)
    assert find_invoice(stripe, order)["status"] == "open"
    assert len(stripe.posts("/v1/invoices/in_.*/finalize")) == 1, "what is final already is not asked for once more"


@pytest.mark.slow
async def test_killed_between_commit_and_stripe_at_every_step_and_started_again(
    api: Api, system: System, access: StripeAccess, stripe: FakeStripe, clock: ManualClock
) -> None:
    """Kill the process before and after each of its questions, the events' among them. It takes some seconds."""
    questions = await count_questions(api, system, access, stripe, clock)
    assert questions >= 6
    for when in When:
        for question in range(1, questions + 1):
            order = await make_order(api)
            plan = Plan(question, when)
            dying = StripeRelay(system, crash(access, plan))
            with pytest.raises(Killed):
                await collect_and_pay(api, dying, stripe, clock, order)
            clock.advance(minutes=5)
            await collect_and_pay(api, StripeRelay(system, access), stripe, clock, order)
            await expect_one_of_each(api, system, stripe, order)
    assert await broken_rules(system) == {}


def crash(access: StripeAccess, plan: Plan) -> CrashingAccess:
    shared = {name: getattr(access, name) for name in ("client", "http", "account_id", "is_live", "thread")}
    return CrashingAccess(**shared, plan=plan)


async def count_questions(
    api: Api, system: System, access: StripeAccess, stripe: FakeStripe, clock: ManualClock
) -> int:
    plan = Plan()
    order = await make_order(api)
    await collect_and_pay(api, StripeRelay(system, crash(access, plan)), stripe, clock, order)
    await expect_one_of_each(api, system, stripe, order)
    return plan.asked


async def collect_and_pay(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock, order: Collected
) -> None:
    """Collect an invoice, have the customer pay it where it is not paid, and tell of it."""
    await run_down(relay, rounds=2)
    if find_invoice(stripe, order)["status"] == "open":
        stripe.account.pay(find_invoice(stripe, order)["id"])
    await send_events(api, stripe, clock)
    await run_down(relay, rounds=2)


async def test_two_processes_at_once_ask_once(
    api: Api, system: System, access: StripeAccess, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    relays = [StripeRelay(system, access) for _ in range(3)]
    for _ in range(4):
        await asyncio.gather(*(relay.run() for relay in relays))
    await pay_and_tell(api, relays[0], stripe, clock, order)
    await expect_one_of_each(api, system, stripe, order)
    assert len(stripe.posts("/v1/invoices/in_.*/finalize")) == 1


async def test_answer_that_comes_after_the_lease_of_its_step_is_noted_once(
    api: Api, system: System, relay: StripeRelay, access: StripeAccess, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await relay.plan()
    other = StripeRelay(system, access)

    class Slow(StripeRelay):
        async def _send(self, sending: Any) -> Any:
            answer = await super()._send(sending)
            clock.advance(minutes=10)
            await other.send_next()
            return answer

    slow = Slow(system, access)
    for _ in range(4):
        await slow.send_next()
    await run_down(relay, clock)
    await pay_and_tell(api, relay, stripe, clock, order)
    await expect_one_of_each(api, system, stripe, order)


async def test_void_racing_with_payment_loses_no_money(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await api.post(f"/invoices/{order.invoice_id}/pay")
    bought = await api.post("/purchases", {"contract_id": order.contract["id"], "gpu_hours": 100}, expect=201)
    late = replace(order, invoice_id=bought["invoice_id"])
    await run_down(relay)
    await api.post(f"/purchases/{bought['id']}/cancel")
    made = find_invoice(stripe, late)

    def pay_first(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/void"):
            stripe.before_call = None
            stripe.account.pay(made["id"])

    stripe.before_call = pay_first
    await run_down(relay, clock)
    ours = await api.get(f"/invoices/{late.invoice_id}")
    assert (made["status"], ours["status"]) == ("paid", "void")
    assert ours["paid_at"] is not None, "it came too late, and is the customer's credit"
    assert await broken_rules(system) == {}


async def test_credit_note_racing_with_payment_is_given_back_in_our_books(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await run_down(relay)
    made = find_invoice(stripe, order)
    await api.post(f"/invoices/{order.invoice_id}/pay")
    stripe.account.pay(made["id"])  # before we could say there that it was paid
    await run_down(relay, clock)
    await send_events(api, stripe, clock)
    await run_down(relay, clock)
    shown = await api.get(f"/stripe/invoices/{order.invoice_id}")
    assert (shown["status"], shown["settled"], shown["problem"]) == ("paid", True, None)
    assert await read_granted(api, order) == "500.0000"
    assert await broken_rules(system) == {}


async def test_invoice_changed_there_while_it_is_finalized_stays_a_draft(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)

    def add_line(method: str, path: str) -> None:
        if method == "GET" and path.startswith("/v1/invoices/in_") and find_invoice(stripe, order)["total"] == 260_000:
            stripe.before_call = None
            line = {"amount": 1, "description": "by hand"}
            stripe.account.add_lines(find_invoice(stripe, order)["id"], [line])

    stripe.before_call = add_line
    await run_down(relay, clock)
    made, shown = find_invoice(stripe, order), await api.get(f"/stripe/invoices/{order.invoice_id}")
    assert made["status"] == "draft"
    assert "total is 260001 there and 260000 here" in shown["problem"]
    made["lines"]["data"].pop()
    stripe.account.recount(made["id"])
    await api.post(f"/stripe/invoices/{order.invoice_id}/retry")
    await run_down(relay, clock)
    assert find_invoice(stripe, order)["status"] == "open"


async def test_balance_that_stripe_would_use_up_stops_the_invoice(
    api: Api, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await relay.plan()
    await relay.send_next()
    next(iter(stripe.account.customers.values()))["balance"] = -1000
    await run_down(relay, clock)
    shown = await api.get(f"/stripe/invoices/{order.invoice_id}")
    assert shown["problem"] == "not finalized: amount_due is 259000 there and 260000 here"
    await api.post(f"/stripe/invoices/{order.invoice_id}/retry")
    await api.post(f"/stripe/invoices/{order.invoice_id}/retry", expect=409)


async def test_events_twice_late_and_in_any_order_do_what_one_does(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    order = await make_order(api)
    await run_down(relay)
    stripe.account.pay(find_invoice(stripe, order)["id"])
    seed = 20_261_201
    events = stripe.account.events * 3
    random.Random(seed).shuffle(events)
    for event in events:
        await send_event(api, event, clock)
        clock.advance(seconds=30)
        if len(event["id"]) % 2:
            await relay.run()
    await run_down(relay, clock)
    await expect_one_of_each(api, system, stripe, order)
    assert await broken_rules(system) == {}


async def test_event_that_cannot_be_handled_is_put_off_and_keeps_no_other_waiting(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    first, second = await make_order(api), await make_order(api)
    await run_down(relay)
    for order in (first, second):
        stripe.account.pay(find_invoice(stripe, order)["id"])
    broken = find_invoice(stripe, first)
    payment = next(each for each in stripe.account.payments.values() if each["invoice"] == broken["id"])
    payment["currency"] = "usd"
    await send_events(api, stripe, clock)
    await relay.run()
    await expect_one_of_each(api, system, stripe, second)
    assert (await api.get(f"/invoices/{first.invoice_id}"))["status"] == "open", "a foreign currency is never booked"
    payment["currency"] = "cny"
    clock.advance(hours=1)
    await run_down(relay, clock)
    await expect_one_of_each(api, system, stripe, first)


async def test_event_whose_database_died_is_told_as_that_and_handled_again(
    api: Api,
    system: System,
    relay: StripeRelay,
    stripe: FakeStripe,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A past fault, found by a soak: it stood in the log with a traceback, as a mistake of our own."""
    order = await make_order(api)
    await run_down(relay)
    stripe.account.pay(find_invoice(stripe, order)["id"])
    await send_events(api, stripe, clock)
    with pytest.MonkeyPatch.context() as patch:

        async def die(*_told: Any) -> None:
            async with system.work() as work:
                await work.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        patch.setattr("broker.payments.stripe.relay.handle_event", die)
        assert await relay.handle_next()
    (told,) = [record for record in caplog.records if "of Stripe" in record.message]
    assert told.exc_info is None
    clock.advance(hours=1)
    await run_down(relay, clock)
    await expect_one_of_each(api, system, stripe, order)
