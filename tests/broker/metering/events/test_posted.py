"""CloudEvents over HTTP, in the three modes of the binding, with the examples of its own text."""

import pytest

from broker import errors
from broker.metering.events.posted import MAX_BATCH, Posted, read_posted

# From the HTTP binding, 3.1.4 and 3.2.3.
BINARY_HEADERS = {
    "ce-specversion": "1.0",
    "ce-type": "com.example.someevent",
    "ce-time": "2018-04-05T03:56:24Z",
    "ce-id": "1234-1234-1234",
    "ce-source": "/mycontext/subcontext",
    "content-type": "application/json; charset=utf-8",
}
STRUCTURED = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "time": "2018-04-05T03:56:24Z",
    "id": "1234-1234-1234",
    "source": "/mycontext/subcontext",
    "datacontenttype": "application/json",
    "data": {"a": 1},
}


def read(body: object, **headers: str) -> Posted:
    return read_posted({name.replace("_", "-"): value for name, value in headers.items()}, body, raw=b"")


def test_binary_event_is_joined_of_headers_and_body() -> None:
    assert read_posted(BINARY_HEADERS, {"a": 1}, raw=b"") == Posted([STRUCTURED], single=True)


@pytest.mark.parametrize("content_type", ["application/cloudevents+json; charset=utf-8", "application/json", ""])
def test_structured_event_is_taken_as_it_is(content_type: str) -> None:
    assert read(STRUCTURED, content_type=content_type) == Posted([STRUCTURED], single=True)


@pytest.mark.parametrize("content_type", ["application/cloudevents-batch+json", "Application/JSON"])
def test_batch_is_a_list_even_of_one(content_type: str) -> None:
    assert read([STRUCTURED], content_type=content_type) == Posted([STRUCTURED], single=False)


# From 3.1.3.2: "Euro € 😀" and what needs no escape; and a quoted string of RFC 7230.
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("/mycontext/subcontext", "/mycontext/subcontext"),
        ('"a \\"quoted\\" word"', 'a "quoted" word'),
        ("100%25", "100%"),
    ],
)
def test_header_is_decoded_once(header: str, value: str) -> None:
    assert read({}, ce_id="1", ce_subject=header).events[0]["subject"] == value


@pytest.mark.parametrize(
    ("headers", "body", "field"),
    [
        ({"content_type": "application/cloudevents+xml"}, {}, "content-type"),
        ({"content_type": "application/cloudevents-batch+json"}, {}, "body"),
        ({"ce_subject": "%E2%82"}, {}, "ce-subject"),
        ({}, [{}] * (MAX_BATCH + 1), "body"),
    ],
)
def test_what_is_no_event_is_refused(headers: dict[str, str], body: object, field: str) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        read(body, **headers)
    assert refused.value.errors[0].field == field


def test_value_that_cannot_be_stored_is_the_fault_of_its_event_alone() -> None:
    body = [{"id": "1"}, {"id": "a\x00"}, {"data": {"quantity": float("nan")}}]
    posted = read_posted({}, body, raw=b'[{"id": "a\\u0000"}, {"data": {"quantity": NaN}}]')
    assert {place: [fault.field for fault in faults] for place, faults in posted.faults.items()} == {
        1: ["id"],
        2: ["data.quantity"],
    }
