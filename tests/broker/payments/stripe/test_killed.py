"""`kill -9` of a real `broker serve` between commit and Stripe: started again, there is one invoice and one charge."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg
import pytest
from stripe import WebhookSignature

from broker.client.rest import Client
from tests.broker.payments.stripe.fake.account import ACCOUNT_ID
from tests.broker.payments.stripe.fake.server import API_KEY, WEBHOOK_SECRET, FakeStripe, run_fake_stripe
from tests.broker.served import ServedBroker

pytestmark = pytest.mark.slow

# Where it is killed, one after the other: before Stripe has done it, or after, before the answer is there.
KILLS = [
    ("before", "/v1/invoices"),
    ("after", "/v1/invoices"),
    ("before", "/v1/invoices/in_.*/finalize"),
    ("after", "/v1/invoices/in_.*/finalize"),
    ("after", "/v1/invoice_payments"),
]
PATIENCE_SECONDS = 90
# A step that was taken belongs to its process for a while: that is let pass.
LET_LEASES_PASS = (
    "UPDATE stripe_steps SET not_before = now() WHERE state = 'waiting'",
    "UPDATE received_events SET not_before = now() WHERE handled_at IS NULL",
)


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with run_fake_stripe() as fake:
        yield fake


@pytest.fixture
def broker(server_folder: Path, fake: FakeStripe) -> Iterator[ServedBroker]:
    settings = {"stripe_api_key": API_KEY, "stripe_account_id": ACCOUNT_ID, "stripe_webhook_secret": WEBHOOK_SECRET}
    settings |= {"stripe_api_base": fake.url, "sweep_seconds": "0.3", "local_slots": "0"}
    served = ServedBroker(server_folder / "var", settings)
    yield served
    served.close()


def test_killed_at_each_step_there_is_one_invoice_and_one_charge(broker: ServedBroker, fake: FakeStripe) -> None:
    waiting = list(KILLS)

    def kill_at(when: str) -> Callable[[str, str], None]:
        def look(_method: str, path: str) -> None:
            if waiting and waiting[0][0] == when and re.fullmatch(waiting[0][1], path):
                waiting.pop(0)
                broker.kill()

        return look

    broker.start()
    with Client(broker.url, broker.admin_key()) as client:
        invoice_id = order(client)
    fake.before_call, fake.after_call = kill_at("before"), kill_at("after")
    follow(broker, lambda: bool(list_open(fake)))
    (made,) = fake.account.invoices.values()
    fake.account.pay(made["id"])
    follow(broker, lambda: send_events(broker, fake) and read_status(broker, invoice_id) == "paid")
    assert waiting == [], "it was killed at each of them"
    (made,) = fake.account.invoices.values()
    assert (made["status"], made["total"], len(made["lines"]["data"])) == ("paid", 260_000, 1)
    assert len(fake.account.payments) == len(fake.account.customers) == 1
    assert count_payments(broker) == 1
    assert broker.run_cli("ledger", "verify").returncode == 0


def order(client: Client) -> str:
    customer = client.post("/customers", {"name": "Tea abroad"})["id"]
    client.put(f"/stripe/customers/{customer}", {"collects": True})
    terms = {"plan": "prepaid", "committed_gpu_hours": 500, "customer_id": customer}
    return str(client.post("/contracts", terms)["advance_invoice_id"])


def list_open(fake: FakeStripe) -> list[Any]:
    return [each for each in fake.account.invoices.values() if each["status"] == "open"]


def follow(broker: ServedBroker, is_done: Callable[[], bool]) -> None:
    """Follow the broker until something is done, and start it again whenever it was killed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert broker.process is not None
        if broker.process.poll() is not None:
            broker.start()
            with psycopg.connect(broker.database_url(), autocommit=True) as connection:
                for statement in LET_LEASES_PASS:
                    connection.execute(statement.encode())
            deadline = time.monotonic() + PATIENCE_SECONDS
        if is_done() and broker.process.poll() is None:
            return
        time.sleep(0.1)
    raise TimeoutError(broker.read_log())


def send_events(broker: ServedBroker, fake: FakeStripe) -> bool:
    """Send all events once more, as Stripe does until they are answered; tells whether they were."""
    try:
        for event in fake.account.events:
            body = json.dumps(event)
            headers = {"Stripe-Signature": WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET)}
            httpx.post(f"{broker.url}/v1/webhooks/stripe", content=body, headers=headers).raise_for_status()
    except httpx.HTTPError:
        return False
    return True


def read_status(broker: ServedBroker, invoice_id: str) -> str:
    try:
        with Client(broker.url, broker.admin_key(), retry_pauses=()) as client:
            return str(client.get(f"/invoices/{invoice_id}")["status"])
    except Exception:  # noqa: BLE001 (it was killed just now)
        return "away"


def count_payments(broker: ServedBroker) -> int:
    with psycopg.connect(broker.database_url()) as connection:
        (count,) = connection.execute("SELECT count(*) FROM payments").fetchone() or (0,)
        return int(count)
