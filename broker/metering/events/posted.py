"""Reading CloudEvents 1.0 as they come over HTTP: one in JSON, a batch in JSON, or one in headers and body. Pure.

Source: the CloudEvents HTTP protocol binding 1.0.2, section 3, and the JSON event format 1.0.2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from broker import errors
from broker.errors import FieldError
from broker.http.body import SUSPICIOUS, find_unstorable

MAX_BATCH = 500
EVENT_TYPE, BATCH_TYPE = "application/cloudevents+json", "application/cloudevents-batch+json"
ATTRIBUTE_HEADER = "ce-"
QUOTED = re.compile(r'"(.*)"')
ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Posted:
    """The events of one request as JSON, in their order. `single`: it was one event, and no batch of one.

    `faults` are those of events with values that no table keeps, by their places.
    """

    events: list[Any]
    single: bool
    faults: Mapping[int, list[FieldError]] = field(default_factory=dict)

    def pick(self, places: Sequence[int]) -> "Posted":
        """Pick the events at some places, in their order."""
        faults = {new: self.faults[old] for new, old in enumerate(places) if old in self.faults}
        return Posted([self.events[place] for place in places], self.single, faults)


def read_posted(headers: Mapping[str, str], body: Any, *, raw: bytes) -> Posted:
    """Read the events of a request, by its content type and its headers; `raw` is its body as it came.

    Raises: InvalidRequest.
    """
    posted = _read_events(headers, body)
    if not posted.events or (not attributes_in(headers) and SUSPICIOUS.search(raw) is None):
        return posted
    found = {place: list(find_unstorable(event)) for place, event in enumerate(posted.events)}
    return replace(posted, faults={place: faults for place, faults in found.items() if faults})


def attributes_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Tell the attributes of an event that stand in headers."""
    found = {name: value for name, value in headers.items() if name.startswith(ATTRIBUTE_HEADER)}
    return {name.removeprefix(ATTRIBUTE_HEADER): value for name, value in found.items()}


def _read_events(headers: Mapping[str, str], body: Any) -> Posted:
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type.startswith("application/cloudevents"):
        return _read_structured(content_type, body)
    attributes = attributes_in(headers)
    if attributes:
        return Posted([_join_binary(attributes, content_type, body)], single=True)
    if isinstance(body, list):
        return _limit_batch(body)
    return Posted([body], single=True)


def _read_structured(content_type: str, body: Any) -> Posted:
    if content_type == EVENT_TYPE:
        return Posted([body], single=True)
    if content_type != BATCH_TYPE:
        raise errors.invalid_field(
            "content-type", f"is no format that is taken here; send {EVENT_TYPE} or {BATCH_TYPE}"
        )
    if not isinstance(body, list):
        raise errors.invalid_field("body", f"must be a list of events in {BATCH_TYPE}")
    return _limit_batch(body)


def _limit_batch(events: list[Any]) -> Posted:
    if len(events) > MAX_BATCH:
        raise errors.invalid_field("body", f"has {len(events)} events; send at most {MAX_BATCH} at once")
    return Posted(events, single=False)


def _join_binary(attributes: Mapping[str, str], content_type: str, body: Any) -> dict[str, Any]:
    """Join the attributes of the headers with the data of the body into one event, as the JSON format has it."""
    event: dict[str, Any] = {name: _decode(name, value) for name, value in attributes.items()}
    return event | {"datacontenttype": content_type, "data": body}


def _decode(name: str, value: str) -> str:
    """Take the value out of its quotes, then decode what is written in per cent. Raises: InvalidRequest."""
    quoted = QUOTED.fullmatch(value)
    plain = value if quoted is None else ESCAPED.sub(r"\1", quoted[1])
    try:
        return unquote(plain, errors="strict")
    except UnicodeDecodeError as error:
        raise errors.invalid_field(f"{ATTRIBUTE_HEADER}{name}", "is not UTF-8 once its %XX are decoded") from error
