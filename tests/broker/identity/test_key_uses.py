"""When a key was used last: seen by each process, written for many at once, to the minute."""

from datetime import timedelta

from broker.config import Settings
from broker.identity.key_uses import cut_to_minute
from broker.system import System, open_system
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, make_customer


async def read_use(api: Api, key_id: str) -> str | None:
    keys = (await api.get("/api-keys"))["data"]
    return next(each["last_used_at"] for each in keys if each["id"] == key_id)


async def test_the_use_of_keys_is_written_at_once_for_all_and_to_the_minute(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_customer(api)
    made = await api.post(f"/customers/{customer['id']}/api-keys", {"name": "laptop"}, expect=201)
    uses = api.app.state.bearers.uses
    assert await read_use(api, made["id"]) is None
    async with Api.connect(api.app, made["key"]) as own:
        await own.get("/jobs")
        await own.get("/jobs")
        assert uses.seen >= {made["id"]}
        assert await read_use(api, made["id"]) is None
        await uses.write(system)
        told = cut_to_minute(clock.now).isoformat().replace("+00:00", "Z")
        assert await read_use(api, made["id"]) == told
        assert not uses.seen - {(await api.get("/whoami"))["api_key"]["id"]}
        clock.advance(seconds=3600)
        await own.call("DELETE", f"/api-keys/{made['id']}", expect=200)
        await uses.write(system)
        assert await read_use(api, made["id"]) == told


async def test_what_cannot_be_written_now_is_written_with_the_next(api: Api, settings: Settings) -> None:
    uses = api.app.state.bearers.uses
    uses.note("key_of_nobody")
    away = open_system(settings, "postgresql://broker_app@127.0.0.1:1/nowhere")
    await uses.write(away)
    await away.database.close()
    assert "key_of_nobody" in uses.seen


async def test_a_session_is_a_use_of_its_key_and_the_page_tells_it(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_customer(api)
    async with sign_in_customer(api, customer["id"]) as person:
        await api.app.state.bearers.uses.write(system)
        shown = await person.open("/console/keys")
        moment = cut_to_minute(clock.now)
        assert moment.isoformat() in shown.attributes("#api-keys td time", "datetime")
        assert "Sign out everywhere" in shown.find("#api-keys")
        day = (clock.now + timedelta(days=30)).date().isoformat()
        made = await person.send(
            "/console/keys", {"name": "ci", "expires_at": day}, of=shown, form="#key-form", expect=201
        )
        assert made.tree.css(".made")
        wrong = await person.send(
            "/console/keys", {"name": "ci", "expires_at": "2001-01-01"}, of=shown, form="#key-form", expect=409
        )
        assert wrong.tree.css(".problem")
