"""An adapter's page: promoted with a reason, live or why not, undone; and the graph of what went into it."""

from broker.environments.pushing import Pusher
from broker.system import System
from tests.broker.console.people import sign_in_customer
from tests.broker.environments.adapters import make_adapter
from tests.broker.environments.servers import ServeLike
from tests.broker.environments.test_pushing import make_environment
from tests.broker.factories import Api, make_ready_customer


async def test_an_adapter_is_promoted_shown_where_it_is_live_and_taken_back(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    adapter = await make_adapter(api, system, customer)
    await make_environment(api, customer.id)
    path = f"/console/adapters/{adapter['id']}"
    async with sign_in_customer(api, customer.id) as person:
        shown = await person.open(path)
        assert shown.state_of("promotions") == "never"
        blank = {"stage": "test", "reason": " "}
        wrong = await person.send(f"{path}/promote", blank, of=shown, form="#promote", expect=422)
        assert wrong.tree.css("[role=alert]")
        await person.send(f"{path}/promote", {"stage": "test", "reason": "good eyes"}, of=shown, form="#promote")
        promoted = await person.open(path)
        assert ("test" in promoted.find("h1"), "box: on its way" in promoted.find("#promotions")) == (True, True)
        assert "good eyes" in promoted.find("#promotions")
        await Pusher(system, ServeLike(refuses="another base model")).push_due()
        assert "box: failed it answered 400: another base model" in (await person.open(path)).find("#promotions")
        assert "test" in (await person.open("/console/adapters")).find("#adapters tbody tr")
        (back,) = promoted.attributes("#promotions td:last-child a", "href")
        await person.send(back, {"reason": "worse"}, of=await person.open(back), form="#roll-back")
        undone = await person.open(path)
        assert ("none any more" in undone.find("#promotions"), "test" in undone.find("h1")) == (True, False)
        graph = await person.open(f"{path}/lineage")
        assert f"{customer.dataset['id']} {customer.dataset['sha256'][:12]}… is the data of" in graph.find("#lineage")
        assert "made cyberpunk v1" in graph.find("#lineage")
