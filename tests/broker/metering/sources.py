"""A meter outside of runs: a registered source and the key that reports for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.broker.conftest import START
from tests.broker.factories import Api, Customer, make_ready_customer, staff_key

SOURCE = "/inference/eu-1"


@dataclass
class Meter:
    """A source, and the customer whose usage it reports. `api` is the administrator's."""

    api: Api
    key: Api
    customer: Customer
    source: str = SOURCE

    @property
    def contract_id(self) -> str:
        return str(self.customer.contract["id"])

    def event(self, event_id: str = "1", **fields: Any) -> dict[str, Any]:
        """Make an event of 100 tokens used now; what is not an attribute of events is its data."""
        attributes = {"id": event_id, "source": self.source, "subject": self.contract_id, "time": START.isoformat()}
        shown = {name: fields.pop(name) for name in [*attributes, "specversion", "type"] if name in fields}
        data = {"meter": "tokens", "quantity": 100} | fields
        return {"specversion": "1.0", "type": "lora.usage.measured", **attributes, **shown, "data": data}

    async def send(self, *events: Any, expect: int = 202) -> Any:
        return (await self.key.call("POST", "/usage-events", expect=expect, json=list(events))).json()

    async def verdicts(self, *events: Any) -> list[str]:
        return [outcome["status"] for outcome in (await self.send(*events))["events"]]

    async def used(self) -> tuple[int, int]:
        """GPU-seconds and tokens that the contract was charged."""
        balance = await self.api.get(f"/contracts/{self.contract_id}/balance")
        return balance["used_gpu_seconds"], balance["used_tokens"]


@asynccontextmanager
async def open_meter(api: Api, source: str = SOURCE, **terms: Any) -> AsyncIterator[Meter]:
    """Register a source and connect its meter, for the usage of a customer with one contract."""
    customer = await make_ready_customer(api, **terms)
    await api.post("/usage-sources", {"source": source, "name": "Inference"}, expect=201)
    async with Api.connect(api.app, await staff_key(api, "meter")) as key:
        yield Meter(api, key, customer, source)
