"""Both sides change at random while answers fail and processes die: in the end they say the same, to the fen."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from broker.payments.stripe.client import StripeAccess
from broker.payments.stripe.relay import StripeRelay
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.payments.stripe.collecting import Collected, collect_month, find_invoices, run_down, send_event
from tests.broker.payments.stripe.crashing import Killed, Plan, When
from tests.broker.payments.stripe.fake.server import FakeStripe, Fault
from tests.broker.payments.stripe.test_faults import crash
from tests.broker.running_jobs import HOUR, broken_rules

pytestmark = pytest.mark.slow

ACTIONS = 24
# Stripe would answer what was done without an answer; the others are told by a test of their own.
FAULTS = [Fault.NO_ANSWER, Fault.DONE_NO_ANSWER, Fault.BROKEN, Fault.DONE_BROKEN, Fault.BUSY]


@dataclass
class Walk:
    """What may happen to a month's invoice of 68.12, in any order."""

    api: Api
    system: System
    access: StripeAccess
    stripe: FakeStripe
    clock: ManualClock
    month: Collected
    rng: random.Random

    async def relay_some(self) -> None:
        await StripeRelay(self.system, self.access).run()
        self.clock.advance(minutes=3)

    async def die_somewhere(self) -> None:
        plan = Plan(self.rng.randint(1, 4), self.rng.choice(list(When)))
        try:
            await StripeRelay(self.system, crash(self.access, plan)).run()
        except Killed:
            self.clock.advance(minutes=3)

    async def fail_next(self) -> None:
        self.stripe.fail("/v1/.*", self.rng.choice(FAULTS))

    async def pay_there(self) -> None:
        for invoice in find_invoices(self.stripe, self.month):
            if invoice["status"] in {"open", "paid"}:
                self.stripe.account.pay(invoice["id"], self.rng.randint(1, 3_000))

    async def credit(self) -> None:
        line = {"position": 1, "amount": f"{self.rng.randint(1, 900) / 100:.2f}"}
        body = {"invoice_id": self.month.invoice_id, "reason": "Slow", "lines": [line]}
        await self.api.call("POST", "/credit-notes", json=body)  # may be more than is left of the line

    async def pay_from_credit(self) -> None:
        body = {"kind": "credit", "contract_id": self.month.contract["id"], "reason": "Sorry"}
        await self.api.call("POST", "/adjustments", json=body | {"amount": f"{self.rng.randint(1, 900) / 100:.2f}"})
        await self.api.call("POST", f"/invoices/{self.month.invoice_id}/pay", json={"from_credit": True})

    async def tell_some(self) -> None:
        events = self.stripe.account.events
        for event in self.rng.sample(events, min(len(events), 3)):
            await send_event(self.api, event, self.clock)

    def list_actions(self) -> list[Callable[[], Awaitable[Any]]]:
        often = [self.relay_some] * 4 + [self.tell_some] * 2
        return [*often, self.die_somewhere, self.fail_next, self.pay_there, self.credit, self.pay_from_credit]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_both_sides_say_the_same_in_the_end(
    api: Api, system: System, access: StripeAccess, stripe: FakeStripe, clock: ManualClock, seed: int
) -> None:
    customer: Customer = await make_ready_customer(api)
    month = await collect_month(api, system, clock, customer, gpu_seconds=10 * HOUR)
    walk = Walk(api, system, access, stripe, clock, month, random.Random(seed))
    for _ in range(ACTIONS):
        await walk.rng.choice(walk.list_actions())()
    stripe.faults.clear()
    relay = StripeRelay(system, access)
    await run_down(relay, clock, rounds=6)
    await relay.reconcile()
    await run_down(relay, clock, rounds=6)
    await relay.reconcile()
    left = (await api.get("/stripe/reconciliation"))["data"]
    assert [each for each in left if each["kind"] != "balance"] == [], f"seed {seed}"
    assert len(find_invoices(stripe, month)) <= 1
    there = sum(each["amount_paid"] for each in stripe.account.payments.values())
    ours = (await api.get("/payments"))["data"]
    assert sum(int(each["amount"]["amount"].replace(".", "")) for each in ours) == there
    assert await broken_rules(system) == {}
