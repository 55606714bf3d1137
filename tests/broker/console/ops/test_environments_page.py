"""The house's environments on ops' pages: named, failing in the server's words, with whose they serve, changed."""

from broker.environments.pushing import Pusher
from broker.system import System
from tests.broker.console.people import sign_in_staff
from tests.broker.environments.adapters import make_adapter, promote
from tests.broker.environments.servers import ServeLike
from tests.broker.environments.test_pushing import make_environment
from tests.broker.factories import Api, customer_api, make_ready_customer

PAGE = "/console/ops/environments"
SERVER = {"name": "box of all", "stage": "test", "kind": "trainer_serve", "url": "https://inside.example.com"}
TOKEN = "a-long-token-of-ours"


async def test_ops_names_a_server_and_sees_what_it_serves_of_whom(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    name = (await api.get(f"/customers/{customer.id}"))["name"]
    async with customer_api(api, customer.id) as theirs:
        own = await theirs.post("/environments", {**SERVER, "name": "their own"}, expect=201)
    adapter = await make_adapter(api, system, customer)
    async with sign_in_staff(api, "ops") as person:
        page = await person.open(PAGE)
        assert page.state_of("environments") == "never", "a customer's own is not the house's"
        made = await person.send(PAGE, {**SERVER, "token": TOKEN}, of=page, form="#environment-form")
        at = made.response.headers["location"]
        assert (await person.open(at)).state_of("pushes") == "never"
        await promote(api, adapter)
        await Pusher(system, ServeLike(refuses="another base model")).push_due()
        failed = await person.open(at)
        row = failed.find("#pushes tbody tr")
        for each in (name, "cyberpunk v1", "it answered 400: another base model"):
            assert each in row
        assert (TOKEN in failed.response.text, "all customers" in failed.find(".facts")) == (False, True)
        assert (await person.open(at, state="live")).state_of("pushes") == "none_match"
        assert "failed: 1" in (await person.open(PAGE)).find("#environments tbody tr")
        theirs_shown = await person.open(f"{PAGE}/{own['id']}")
        assert theirs_shown.tree.css("#change-form") == []


async def test_ops_changes_a_server_and_removes_it(api: Api) -> None:
    made = await make_environment(api, None, url="https://inside.example.com", token=TOKEN)
    at = f"{PAGE}/{made['id']}"
    async with sign_in_staff(api, "ops") as person:
        page = await person.open(at)
        moved = {"name": "other", "url": "https://elsewhere.example.com"}
        refused = await person.send(f"{at}/change", moved, of=page, form="#change-form", expect=422)
        assert "is kept for another server" in refused.find("#f-token-error")
        fields = {"name": "other", "options.folder": "/srv/adapters", "options.layout": "kohya"}
        await person.send(f"{at}/change", fields, of=page, form="#change-form")
        assert (await api.get(f"/environments/{made['id']}"))["options"] == {
            "folder": "/srv/adapters",
            "layout": "kohya",
        }
        await person.send(f"{at}/change", {"options.folder": "/srv/adapters"}, of=page, form="#change-form")
        assert (await api.get(f"/environments/{made['id']}"))["options"] == {"folder": "/srv/adapters"}
        for act, words in (("push", "other"), ("disable", "switched off"), ("enable", "not asked yet")):
            await person.send(f"{at}/{act}", {}, of=await person.open(at), form=f"form[action='{at}/{act}']")
            assert words in (await person.open(at)).text
        await person.send(f"{at}/remove", {}, of=page, form=f"form[action='{at}/remove']")
        await person.open(at, expect=404)
    noted = {entry["action"] for entry in (await api.get("/audit"))["data"]}
    assert {"change_environment", "push_environment", "remove_environment"} <= noted
