"""How an invoice came to Stripe is forgotten once it is over there; what keeps us from sending twice stays."""

from broker.payments.stripe.forgetting import forget_old_steps
from broker.payments.stripe.relay import StripeRelay
from broker.payments.stripe.steps import list_steps
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.payments.stripe.collecting import find_invoice, make_order, run_down, send_events
from tests.broker.payments.stripe.fake.server import FakeStripe
from tests.broker.running_jobs import broken_rules


async def list_kinds(system: System, invoice_id: str) -> list[str]:
    async with system.work() as work:
        return [step.kind for step in await list_steps(work, invoice_id)]


async def test_steps_of_an_invoice_that_is_paid_there_go_after_their_days_and_nothing_is_sent_again(
    api: Api, system: System, relay: StripeRelay, stripe: FakeStripe, clock: ManualClock
) -> None:
    paid, waiting = await make_order(api), await make_order(api)
    await run_down(relay)
    stripe.account.pay(find_invoice(stripe, paid)["id"])
    await send_events(api, stripe, clock)
    await run_down(relay)
    before = [await list_kinds(system, each.invoice_id) for each in (paid, waiting)]
    assert before == [["invoice", "lines", "finalize"]] * 2
    await forget_old_steps(system)
    assert [await list_kinds(system, each.invoice_id) for each in (paid, waiting)] == before
    clock.advance(days=91)
    await forget_old_steps(system)
    assert [await list_kinds(system, each.invoice_id) for each in (paid, waiting)] == [[], before[1]]
    asked = len(stripe.account.invoices)
    await run_down(relay)
    assert len(stripe.account.invoices) == asked
    assert await broken_rules(system) == {}
