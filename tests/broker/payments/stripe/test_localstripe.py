"""A smoke test against `localstripe`, somebody else's fake: our calls, its refusals, its signature of an event.

It knows neither finalization nor lines of a draft, so the way of an invoice is tested on our own fake alone. It is a
program in a virtual environment of its own (`BROKER_TEST_LOCALSTRIPE` names its Python), which `make test-engines`
installs; without it these tests are skipped.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2 as httpx
import pytest
import stripe

from broker.payments.stripe.bodies import make_customer, make_refund
from broker.payments.stripe.calls import Sending, send_step
from broker.payments.stripe.client import classify_error, describe_error
from broker.payments.stripe.model import AnswerKind, StepKind
from broker.payments.stripe.signatures import Expected, read_event
from tests.broker.served import free_port

PYTHON = os.environ.get("BROKER_TEST_LOCALSTRIPE", "")
START = "from aiohttp import web; from localstripe.server import app; web.run_app(app, host='127.0.0.1', port={})"
START_SECONDS = 30
SECRET = "whsec_of_localstripe"
KEY = "sk_test_of_localstripe"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(PYTHON).is_file(), reason="no localstripe: BROKER_TEST_LOCALSTRIPE names no Python that has it"
    ),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([PYTHON, "-c", START.format(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + START_SECONDS
    try:
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/customers", auth=(KEY, ""))
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def client(url: str) -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient(timeout=10)
    yield stripe.StripeClient(KEY, base_addresses={"api": url}, max_network_retries=0, http_client=http)
    http.close()


def make_sending(kind: StepKind, body: dict[str, Any], our_id: str = "cus_1") -> Sending:
    return Sending(kind, our_id, "", body, f"{our_id}:{kind}:1", looks_first=False)


def create_customer(client: stripe.StripeClient) -> str:
    return send_step(client, make_sending(StepKind.CUSTOMER, make_customer("cus_1", "Tea abroad", "ap@tea.example")))


def test_customer_is_made_with_our_id(client: stripe.StripeClient) -> None:
    made = client.v1.customers.retrieve(create_customer(client))
    assert (made.name, made.email) == ("Tea abroad", "ap@tea.example")
    assert made.metadata is not None
    assert made.metadata["broker_id"] == "cus_1"


def test_refusal_is_told_as_one(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.StripeError) as raised:
        send_step(client, make_sending(StepKind.REFUND, make_refund("ref_1:1", "pi_of_nobody", 1), "ref_1"))
    assert classify_error(raised.value) == AnswerKind.REFUSED
    assert describe_error(raised.value).startswith("InvalidRequestError")


def test_refund_is_made_once_and_found_by_our_id(client: stripe.StripeClient, url: str) -> None:
    customer = create_customer(client)
    method = client.v1.payment_methods.create(
        {"type": "card", "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}}
    )
    client.v1.payment_methods.attach(method.id, {"customer": customer})
    intent = client.v1.payment_intents.create(
        {"amount": 692, "currency": "cny", "customer": customer, "payment_method": method.id, "confirm": True}
    )
    refund = make_sending(StepKind.REFUND, make_refund("ref_1:1", intent.id, 600), "ref_1")
    made = send_step(client, refund)
    assert client.v1.refunds.retrieve(made).amount == 600
    assert send_step(client, replace(refund, looks_first=True)) == made, "found, and not made once more"
    assert url


def test_event_that_it_signs_is_read(client: stripe.StripeClient, url: str) -> None:
    received: list[tuple[bytes, str]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        target = f"http://127.0.0.1:{server.server_address[1]}/"
        httpx.post(f"{url}/_config/webhooks/ours", json={"url": target, "secret": SECRET}).raise_for_status()
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        create_customer(client)
        thread.join(timeout=START_SECONDS)
    ((body, signature),) = received
    expected = Expected((SECRET,), "acct_1", is_live=False)
    event = read_event(body, signature, expected, now=datetime.now(UTC))
    assert event.type == "customer.created"
    assert client.v1.customers.retrieve(str(event.object_id)).id == event.object_id
    assert datetime.now(UTC) - event.sent_at < timedelta(minutes=1)
