"""What a quote says of the machine that would run it: as its agent told it, wherever that is."""

from typing import Any

from broker.capacity.agents import renew_agent
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import CONFIG, Api, make_ready_customer
from tests.broker.pools import register_pool


def says_busy(quote: Any) -> bool:
    return any("busy machine: when this was quoted 3.2" in each for each in quote["estimate"]["uncertain"])


async def test_a_quote_tells_of_a_busy_machine_elsewhere_until_its_agent_is_silent(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    asked = {"config": CONFIG, "dataset_id": customer.dataset["id"]}
    async with system.work() as work:
        card = await register_pool(work, name="a-first", sku="rtx-4090")
    assert not says_busy(await api.post("/quotes", asked, expect=201))
    async with system.work() as work:
        await renew_agent(work, card, 3.2)
    quote = await api.post("/quotes", asked, expect=201)
    assert says_busy(quote)
    assert quote["estimate"]["sku"] == "rtx-4090"
    clock.advance(seconds=system.services.settings.lease_seconds + 1)
    assert not says_busy(await api.post("/quotes", asked, expect=201))
