"""What waits at Stripe is measured: by it somebody hears that an invoice stands still."""

from prometheus_client.exposition import generate_latest

from broker.metrics import Metrics
from broker.payments.stripe.tables import StripeDifference, StripeInvoice, StripeStep
from broker.system import System
from tests.broker.factories import Api, make_ready_customer


async def test_steps_that_wait_invoices_that_stand_still_and_differences_are_counted(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    (invoice,) = (await api.get("/invoices"))["data"]
    now = system.services.now
    counts = dict.fromkeys(("asked_fen", "credited_fen", "remaining_fen"), 1)
    kept = {"has_lines": True, "is_summary": False, "created_at": now, "changed_at": now}
    asked = {"customer_id": customer.id, "step": "create", "kind": "customer", "params": {}, "key_number": 0}
    async with system.work() as work:
        stopped = {"invoice_id": invoice["id"], "status": "draft", "settled": False, "problem": "Another total"}
        work.session.add(StripeInvoice(customer_id=customer.id, **stopped, **counts, **kept))
        for number, (state, failures) in enumerate((("waiting", 0), ("waiting", 2), ("waiting", 1), ("done", 3))):
            own = {"object_id": f"cus_{number}", "state": state, "failures": failures}
            work.session.add(StripeStep(**asked, **own, must_search=False, not_before=now, created_at=now))
        work.session.add(StripeDifference(kind="stuck", ours="x", theirs="y", cure="z", found_at=now))
    metrics = Metrics(system)
    await metrics.refresh()
    told = generate_latest(metrics.registry).decode()
    for line in (
        'broker_stripe_steps{state="waiting"} 1.0',
        'broker_stripe_steps{state="failing"} 2.0',
        "broker_stripe_invoices_stopped 1.0",
        "broker_stripe_differences 1.0",
    ):
        assert line in told
