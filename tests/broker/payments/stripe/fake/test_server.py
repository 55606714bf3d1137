"""The fake Stripe itself: it must be as strict as the real one, or the tests that stand on it say nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.broker.conftest import ManualClock
from tests.broker.payments.stripe.fake.server import API_KEY, FakeStripe, Fault, run_fake_stripe

INVOICE = {"currency": "cny", "collection_method": "send_invoice", "auto_advance": False}


@pytest.fixture
def fake(clock: ManualClock) -> Iterator[FakeStripe]:
    with run_fake_stripe(clock) as fake:
        yield fake


@pytest.fixture
def client(fake: FakeStripe) -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient(timeout=5)
    yield stripe.StripeClient(API_KEY, base_addresses={"api": fake.url}, max_network_retries=0, http_client=http)
    http.close()


def create(client: stripe.StripeClient, key: str, **params: Any) -> stripe.Customer:
    return client.v1.customers.create({"name": "Tea", **params}, {"idempotency_key": key})  # type: ignore[typeddict-item]


def test_key_replays_its_first_answer_for_a_day(
    client: stripe.StripeClient, fake: FakeStripe, clock: ManualClock
) -> None:
    first = create(client, "k")
    assert create(client, "k").id == first.id
    clock.advance(hours=25)
    assert create(client, "k").id != first.id
    assert len(fake.account.customers) == 2


def test_key_with_another_body_is_refused(client: stripe.StripeClient) -> None:
    create(client, "k")
    with pytest.raises(stripe.IdempotencyError):
        create(client, "k", email="a@b.example")


@pytest.mark.parametrize(("fault", "done"), [(Fault.BROKEN, 0), (Fault.DONE_BROKEN, 1)])
def test_500_is_replayed_whether_it_was_done_or_not(
    client: stripe.StripeClient, fake: FakeStripe, fault: Fault, done: int
) -> None:
    fake.fail("/v1/customers", fault)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            create(client, "k")
    assert len(fake.account.customers) == done


def test_no_answer_is_a_connection_that_ends(client: stripe.StripeClient, fake: FakeStripe) -> None:
    fake.fail("/v1/customers", Fault.NO_ANSWER, Fault.DONE_NO_ANSWER)
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            create(client, "k")
    assert create(client, "k").id in fake.account.customers
    assert len(fake.account.customers) == 1


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"nickname": "x"}, "nickname"),
        ({"balance": "much"}, "balance"),
        ({"address": {"planet": "Mars"}}, "address[planet]"),
        ({"tax_exempt": ["none"]}, "tax_exempt"),
    ],
)
def test_parameters_are_those_of_the_clients_own_types(
    client: stripe.StripeClient, params: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        create(client, "k", **params)
    assert raised.value.param == param


def test_missing_parameter_is_named(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.credit_notes.create({})  # type: ignore[typeddict-item]
    assert (raised.value.code, raised.value.param) == ("parameter_missing", "invoice")


def test_search_does_not_see_what_was_made_this_minute(client: stripe.StripeClient, clock: ManualClock) -> None:
    create(client, "k", metadata={"broker_id": "cus_1"})
    query: Any = {"query": "metadata['broker_id']:'cus_1'"}
    assert client.v1.customers.search(query).data == []
    clock.advance(seconds=61)
    assert len(client.v1.customers.search(query).data) == 1


def test_invoice_goes_its_way_and_no_other(client: stripe.StripeClient, fake: FakeStripe) -> None:
    customer = create(client, "k")
    made = client.v1.invoices.create({"customer": customer.id, "number": "1", **INVOICE})  # type: ignore[typeddict-item]
    client.v1.invoices.add_lines(made.id, {"lines": [{"amount": 5, "description": "five"}]})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoices.add_lines(made.id, {"lines": [{"amount": 1}] * 250})
    assert client.v1.invoices.finalize_invoice(made.id).amount_remaining == 5
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoices.finalize_invoice(made.id)
    fake.account.pay(made.id)
    assert client.v1.invoices.retrieve(made.id).status == "paid"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.invoices.void_invoice(made.id)


def test_another_key_is_refused(fake: FakeStripe) -> None:
    http = stripe.RequestsClient(timeout=5)
    stranger = stripe.StripeClient("sk_test_other", base_addresses={"api": fake.url}, http_client=http)
    with pytest.raises(stripe.AuthenticationError):
        stranger.v1.accounts.retrieve_current()
    http.close()
