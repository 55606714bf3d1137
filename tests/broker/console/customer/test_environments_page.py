"""Environments on their pages: named, pushed to, failing with the server's words, rolled back, changed, removed."""

from broker.environments.pushing import Pusher
from broker.system import System
from tests.broker.console.people import sign_in_customer
from tests.broker.environments.adapters import make_adapter, promote
from tests.broker.environments.servers import ServeLike
from tests.broker.environments.test_pushing import make_environment
from tests.broker.factories import Api, make_customer, make_ready_customer

PAGE = "/console/environments"
SERVER = {"name": "box", "stage": "test", "kind": "trainer_serve", "url": "https://box.example.com"}


async def test_an_environment_tells_what_is_current_and_is_rolled_back(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    versions = [await make_adapter(api, system, customer) for _version in range(2)]
    async with sign_in_customer(api, customer.id) as person:
        page = await person.open(PAGE)
        assert page.state_of("environments") == "never"
        fields = {**SERVER, "token": "a-long-token-of-ours", "serves_as": "name"}
        made = await person.send(PAGE, fields, of=page, form="#environment-form")
        at = made.response.headers["location"]
        assert (await person.open(at)).state_of("pushes") == "never"
        for adapter in versions:
            await promote(api, adapter)
            await Pusher(system, ServeLike()).push_due()
        shown = await person.open(at)
        assert "cyberpunk v2 v2" in shown.find("#pushes tbody tr")
        assert "a-long-token-of-ours" not in shown.response.text
        assert "cyberpunk v2: live" in (await person.open(PAGE)).find("#environments tbody tr")
        (back,) = shown.attributes("#pushes tbody tr td:last-child a", "href")
        asked = await person.open(back)
        assert "Then cyberpunk v1" in asked.find(".facts")
        wrong = await person.send(back, {"reason": " "}, of=asked, form="#roll-back", expect=422)
        assert wrong.words_of("#f-reason-error") != []
        await person.send(back, {"reason": "worse eyes"}, of=asked, form="#roll-back")
        await Pusher(system, ServeLike(refuses="another base model")).push_due()
        failed = (await person.open(at)).find("#pushes tbody tr")
        assert "cyberpunk v1 v2" in failed
        assert "it answered 400: another base model" in failed
        assert "tried 1 time" in failed
        late = await person.send(back, {"reason": "again"}, of=asked, form="#roll-back", expect=409)
        assert "Another promotion followed since" in late.text


async def test_an_environment_is_changed_switched_off_pushed_again_and_removed(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    async with sign_in_customer(api, customer) as person:
        fields = {**SERVER, "token": "a-long-token-of-ours"}
        made = await person.send(PAGE, fields, of=await person.open(PAGE), form="#environment-form")
        at = made.response.headers["location"]
        page = await person.open(at)
        moved = {"name": "other", "url": "https://elsewhere.example.com"}
        refused = await person.send(f"{at}/change", moved, of=page, form="#change-form", expect=422)
        assert "is kept for another server" in refused.find("#f-token-error")
        assert "another-long-token" not in refused.response.text
        fields = {**moved, "token": "another-long-token"}
        unreachable = {**fields, "url": "ftp://elsewhere.example.com"}
        refused = await person.send(f"{at}/change", unreachable, of=page, form="#change-form", expect=422)
        assert "another-long-token" not in refused.response.text
        await person.send(f"{at}/change", fields, of=page, form="#change-form")
        for act, words in (("push", "other"), ("disable", "switched off"), ("enable", "not asked yet")):
            form = f"form[action='{at}/{act}']"
            await person.send(f"{at}/{act}", {}, of=await person.open(at), form=form)
            assert words in (await person.open(at)).text
        await person.send(f"{at}/remove", {}, of=page, form=f"form[action='{at}/remove']")
        await person.open(at, expect=404)


async def test_a_webhooks_secret_is_shown_once_and_the_houses_servers_are_not_theirs_to_change(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    house = await make_environment(api, None, name="of all", url="https://inside.example.com")
    async with sign_in_customer(api, customer) as person:
        page = await person.open(PAGE)
        fields = {**SERVER, "name": "CI", "kind": "webhook"}
        made = await person.send(PAGE, fields, of=page, form="#environment-form", expect=201)
        assert made.find(".made code").startswith("whsec_")
        again = await person.send(PAGE, fields, of=page, form="#environment-form", expect=201)
        assert "whsec_" not in again.text
        shown = await person.open(f"{PAGE}/{house['id']}")
        assert "inside.example.com" not in shown.text
        assert shown.tree.css("#change-form") == []
        await person.send(f"{PAGE}/{house['id']}/push", {"idempotency_key": "another"}, of=page, expect=403)


async def test_another_server_is_told_by_a_request_of_its_own(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    async with sign_in_customer(api, customer) as person:
        page = await person.open(PAGE)
        fields = {**SERVER, "kind": "http", "options.load.path": "/v1/set_lora", "options.load.body": "{"}
        refused = await person.send(PAGE, fields, of=page, form="#environment-form", expect=422)
        assert refused.words_of("#f-options\\.load\\.body-error") != []
        fields["options.load.body"] = '{"lora_nickname": "{served_as}"}'
        made = await person.send(PAGE, fields, of=page, form="#environment-form")
        assert "set_lora" in (await person.open(made.response.headers["location"])).text
