"""Usage events as the CloudEvents SDK sends them, which nobody here wrote: in headers and body, and in one body."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.broker.factories import Api
from tests.broker.metering.sources import open_meter


@pytest.mark.parametrize("write", [to_binary_event, to_structured_event], ids=["binary", "structured"])
async def test_an_event_of_the_sdk_is_charged_once(api: Api, write: Callable[..., HTTPMessage]) -> None:
    async with open_meter(api) as meter:
        plain: dict[str, Any] = meter.event("of-the-sdk", quantity=250)
        data = plain.pop("data")
        plain["time"] = datetime.fromisoformat(plain["time"])
        message = write(CloudEvent({**plain, "datacontenttype": "application/json"}, data), JSONFormat())
        for _retry in range(2):
            sent = {"content": message.body, "headers": dict(message.headers)}
            await meter.key.call("POST", "/usage-events", expect=202, **sent)
        assert await meter.used() == (0, 250)
