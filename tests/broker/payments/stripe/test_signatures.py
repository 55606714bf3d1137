"""What Stripe signed, and what it did not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stripe import WebhookSignature

from broker import errors
from broker.payments.stripe.signatures import Expected, read_event

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
EXPECTED = Expected(("whsec_new", "whsec_old"), "acct_1", is_live=False)
EVENT = {
    "id": "evt_1",
    "type": "invoice.paid",
    "created": 1_796_000_000,
    "livemode": False,
    "data": {"object": {"id": "in_1"}},
}


def sign(body: str, secret: str = "whsec_new", at: datetime = NOW) -> str:
    return WebhookSignature.generate_signature_header(body, secret, int(at.timestamp()))


def read(event: Any, **signed: Any) -> Any:
    body = json.dumps(event)
    return read_event(body.encode(), sign(body, **signed), EXPECTED, now=NOW)


def refuse(event: Any, **signed: Any) -> str:
    with pytest.raises(errors.InvalidRequest) as raised:
        read(event, **signed)
    return raised.value.errors[0].field


def test_signed_event_is_read() -> None:
    found = read(EVENT)
    assert (found.event_id, found.type, found.object_id) == ("evt_1", "invoice.paid", "in_1")


@pytest.mark.parametrize("secret", ["whsec_new", "whsec_old"])
def test_while_the_secret_is_changed_both_are_good(secret: str) -> None:
    assert read(EVENT, secret=secret).event_id == "evt_1"


def test_another_secret_is_refused() -> None:
    assert refuse(EVENT, secret="whsec_other") == "Stripe-Signature"


@pytest.mark.parametrize("signature", ["", "t=1", "v1=00", "t=x,v1=00", "nonsense", "t=1,v1=é"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        read_event(json.dumps(EVENT).encode(), signature, EXPECTED, now=NOW)


@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_signature_of_another_time_is_refused(off: timedelta) -> None:
    assert refuse(EVENT, at=NOW + off) == "Stripe-Signature"


@pytest.mark.parametrize("off", [timedelta(minutes=-5), timedelta(minutes=5)])
def test_clocks_may_differ_by_five_minutes(off: timedelta) -> None:
    assert read(EVENT, at=NOW + off).event_id == "evt_1"


def test_changed_body_is_refused() -> None:
    with pytest.raises(errors.InvalidRequest):
        read_event(json.dumps(EVENT | {"id": "evt_2"}).encode(), sign(json.dumps(EVENT)), EXPECTED, now=NOW)


def test_event_of_another_account_is_refused_with_the_field() -> None:
    assert refuse(EVENT | {"account": "acct_2"}) == "account"
    assert read(EVENT | {"account": "acct_1"}).event_id == "evt_1"


def test_event_of_the_other_mode_is_refused_with_the_field() -> None:
    assert refuse(EVENT | {"livemode": True}) == "livemode"


@pytest.mark.parametrize(
    "event",
    [
        [],
        "x",
        {},
        EVENT | {"id": 1},
        EVENT | {"data": {}},
        EVENT | {"created": "now"},
        EVENT | {"created": 10**18},
        EVENT | {"livemode": None},
    ],
)
def test_signed_nonsense_is_refused(event: Any) -> None:
    assert refuse(event) == "body"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(errors.InvalidRequest):
        read_event(b"\xff\xfe", sign("x"), EXPECTED, now=NOW)
