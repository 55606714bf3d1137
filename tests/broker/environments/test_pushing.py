"""What a stage has is pushed to its environments: swapped in place, tried again, and pushed anew to who has lost it."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.addresses import read_networks
from broker.environments.looking import look_at_all
from broker.environments.model import NO_NAME, ServesAs, name_served
from broker.environments.pushing import LEASE, Pusher, claim_due
from broker.system import System
from broker.webhooks.sender import HttpSender
from tests.broker.adapter_files import safetensors_file
from tests.broker.conftest import ManualClock
from tests.broker.environments.adapters import make_adapter, promote
from tests.broker.environments.servers import ServeLike, VllmLike, answer
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.webhooks.receivers import PaperSender, make_endpoint, open_receiver, verify
from tests.broker.webhooks.test_delivering import tell

SERVER = {"name": "box", "stage": "test", "kind": "trainer_serve", "url": "https://box.example.com"}


async def make_environment(api: Api, customer_id: str | None, expect: int = 201, **fields: Any) -> Any:
    return await api.post("/environments", {**SERVER, "customer_id": customer_id, **fields}, expect=expect)


async def push_to(system: System, server: Any) -> None:
    await Pusher(system, server).push_due()


async def get_push(api: Api, environment: Any) -> Any:
    (push,) = (await api.get(f"/environments/{environment['id']}/pushes"))["data"]
    return push


def test_other_names_are_served_under_other_names() -> None:
    """A past fault: `a/b` and `a_b` were both served as `a_b`, the one in the place of the other."""
    names = ["a_b", "a/b", "a\\b", "a//b", "a/_b", " a_b", ".a_b", "/", "\\", "..", "cyberpunk", "风格 一"]
    served = [name_served(ServesAs.NAME, name=name, version=1, adapter_id="ada_1", owner=None) for name in names]
    assert len(set(served)) == len(names)
    assert not [each for each in served if NO_NAME.search(each) or each.startswith(".")]
    assert (served[0], served[-2], served[-1]) == ("a_b", "cyberpunk", "风格 一"), "a plain name stays as it is"
    versions = [name_served(ServesAs.VERSION, name=name, version=2, adapter_id="x", owner="cus_1") for name in names]
    assert versions[0] == "cus_1/a_b_v2"
    assert len(set(versions)) == len(names)


async def test_two_styles_whose_names_a_server_could_not_tell_apart_are_both_served(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await make_environment(api, customer.id)
    made = [await make_adapter(api, system, customer, style) for style in ("a/b", "a_b")]
    server = ServeLike()
    for adapter in made:
        await promote(api, adapter)
    await push_to(system, server)
    assert sorted(server.served.values()) == sorted(safetensors_file(each["job_id"]) for each in made)
    await api.post(f"/adapters/{made[0]['id']}/withdraw", {"stage": "test", "reason": "over"})
    await push_to(system, server)
    assert server.served == {"a_b": safetensors_file(made[1]["job_id"])}


async def test_a_promotion_is_live_once_the_server_has_it_and_the_next_swaps_it(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    first, second = [await make_adapter(api, system, customer) for _version in range(2)]
    environment = await make_environment(api, customer.id)
    (push,) = (await promote(api, first))["pushes"]
    assert (push["state"], push["environment_name"], push["live_adapter_id"]) == ("pushing", "box", None)
    server = ServeLike()
    await push_to(system, server)
    live = await get_push(api, environment)
    assert (live["state"], live["served_as"], live["live_adapter_id"]) == ("live", "cyberpunk", first["id"])
    assert server.served == {"cyberpunk": safetensors_file(first["job_id"])}
    replaced = await promote(api, second)
    await push_to(system, server)
    assert hashlib.sha256(server.served["cyberpunk"]).hexdigest() == second["sha256"]
    undone = await api.post(f"/promotions/{replaced['id']}/undo", {"reason": "worse"})
    await push_to(system, server)
    assert hashlib.sha256(server.served["cyberpunk"]).hexdigest() == first["sha256"]
    assert [each["state"] for each in (await api.get(f"/promotions/{undone['id']}"))["pushes"]] == ["live"]
    await api.post(f"/adapters/{first['id']}/withdraw", {"stage": "test", "reason": "over"})
    await push_to(system, server)
    gone = await get_push(api, environment)
    assert (gone["state"], gone["live_adapter_id"], server.served) == ("gone", None, {})


async def test_names_of_versions_let_go_of_the_one_before(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    versions = [await make_adapter(api, system, customer) for _version in range(3)]
    await promote(api, versions[0])
    await make_environment(api, customer.id, serves_as="version")  # what is there already is pushed, too
    server = ServeLike()
    await push_to(system, server)
    assert list(server.served) == ["cyberpunk_v1"]
    await promote(api, versions[1])
    server.is_away = True
    await push_to(system, server)
    await promote(api, versions[2])
    server.is_away = False
    await push_to(system, server)
    assert list(server.served) == ["cyberpunk_v3"], "also that which a broken push may have left"


async def test_a_server_that_is_away_is_tried_again_and_a_refusal_says_why(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    environment = await make_environment(api, customer.id)
    await promote(api, await make_adapter(api, system, customer))
    server = ServeLike(is_away=True)
    pauses = []
    for _attempt in range(3):
        await push_to(system, server)
        failed = await get_push(api, environment)
        assert (failed["state"], failed["error"]) == ("failed", "no connection: refused")
        pauses.append(datetime.fromisoformat(failed["not_before"]) - clock.now)
        clock.now += pauses[-1]
    assert pauses == [timedelta(seconds=seconds) for seconds in (2, 4, 8)]
    server.is_away, server.refuses = False, "the adapter is of another base model"
    await push_to(system, server)
    refused = await get_push(api, environment)
    assert refused["error"] == "it answered 400: the adapter is of another base model"
    path, chinese = f"/environments/{environment['id']}/pushes", {"Accept-Language": "zh-CN"}
    (told,) = (await api.call("GET", path, expect=200, headers=chinese)).json()["data"]
    assert told["error"].startswith("返回 400：")
    assert datetime.fromisoformat(refused["not_before"]) - clock.now == timedelta(hours=1)
    server.refuses = None
    again = await api.post(f"/environments/{environment['id']}/push")
    await push_to(system, server)
    assert (again["pushes"], (await get_push(api, environment))["state"]) == (1, "live")


async def test_a_server_that_comes_back_empty_gets_what_it_lacks(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    environment = await make_environment(api, customer.id)
    adapter = await make_adapter(api, system, customer)
    await promote(api, adapter)
    await promote(api, await make_adapter(api, system, customer, style="ink"))
    server = ServeLike()
    await push_to(system, server)
    server.is_away = True
    clock.advance(seconds=60)
    await look_at_all(system, server)
    assert (await api.get(f"/environments/{environment['id']}"))["error"] == "no connection: refused"
    server.is_away, kept = False, server.served.pop("ink")
    server.served["cyberpunk"] = b"somebody else's"
    clock.advance(seconds=60)
    await look_at_all(system, server)
    states = {
        each["name"]: each["state"] for each in (await api.get(f"/environments/{environment['id']}/pushes"))["data"]
    }
    assert states == {"cyberpunk": "pushing", "ink": "pushing"}
    await push_to(system, server)
    assert server.served["ink"] == kept
    assert hashlib.sha256(server.served["cyberpunk"]).hexdigest() == adapter["sha256"]
    shown = await api.get(f"/environments/{environment['id']}")
    assert (shown["error"], datetime.fromisoformat(shown["answered_at"])) == (None, clock.now)
    asked = len(server.asked)
    await look_at_all(system, server)
    assert len(server.asked) == asked, "not so soon again"


async def test_what_is_wanted_meanwhile_is_pushed_after_and_never_beside(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    first, second = [await make_adapter(api, system, customer) for _version in range(2)]
    environment = await make_environment(api, customer.id)
    await promote(api, first)
    async with system.work() as work:
        (dead,) = await claim_due(work, room=10, under_way=[])
    await promote(api, second)
    server = ServeLike()
    await push_to(system, server)
    assert (server.asked, dead.adapter_id) == ([], first["id"]), "another process has it"
    clock.now += LEASE
    await push_to(system, server)
    live = await get_push(api, environment)
    assert (live["state"], live["live_adapter_id"]) == ("live", second["id"])


async def test_vllm_is_told_a_path_that_is_of_one_version_alone(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    first, second = [await make_adapter(api, system, customer) for _version in range(2)]
    environment = await make_environment(api, customer.id, kind="vllm", token="a-token-of-vllm")
    server = VllmLike(sees_nothing=True)
    await promote(api, first)
    await push_to(system, server)
    assert (await get_push(api, environment))["state"] == "failed"
    server.sees_nothing = False
    clock.advance(seconds=10)
    await push_to(system, server)
    assert server.served == {"cyberpunk": f"{customer.id}/{first['id']}"}, "tried again soon: it is no refusal"
    await promote(api, second)
    await push_to(system, server)
    assert server.served == {"cyberpunk": f"{customer.id}/{second['id']}"}
    server.served.clear()
    clock.advance(seconds=60)
    await look_at_all(system, server)
    await push_to(system, server)
    assert (list(server.served), (await get_push(api, environment))["state"]) == (["cyberpunk"], "live")


async def test_vllm_beside_the_house_reads_a_folder(api: Api, system: System, tmp_path: Any) -> None:
    customer = await make_ready_customer(api)
    adapter = await make_adapter(api, system, customer)
    options = {"folder": str(tmp_path), "folder_there": "/mnt/adapters"}
    where = {"kind": "vllm", "url": "http://127.0.0.1:8001", "options": options}
    environment = await make_environment(api, None, **where)
    await promote(api, adapter)
    server = VllmLike()
    await push_to(system, server)
    assert server.served == {adapter["id"]: f"/mnt/adapters/{adapter['id']}"}, "of the house: by id, as chats name it"
    written = tmp_path / adapter["id"] / "adapter_model.safetensors"
    assert written.read_bytes() == safetensors_file(adapter["job_id"])
    async with customer_api(api, customer.id) as own:
        shown = await own.get(f"/environments/{environment['id']}")
        assert (shown["url"], shown["options"], shown["customer_id"]) == (None, None, None)
        await own.call("DELETE", f"/environments/{environment['id']}", expect=403)
        refused = await make_environment(own, None, expect=422, kind="vllm", options={"folder": "/etc"})
        assert refused["errors"][0]["field"] == "options.folder"
        private = await make_environment(own, None, expect=422, url="http://127.0.0.1:8001")
        assert private["errors"][0]["field"] == "url"


async def test_a_server_of_another_kind_is_asked_as_it_says(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    adapter = await make_adapter(api, system, customer)
    load = {
        "path": "/v1/set_lora",
        "body": {"lora_nickname": "{served_as}", "about": {"v": "{version}", "n": "v{version}"}},
    }
    options = {"load": load, "unload": {"method": "DELETE", "path": "/loras/{served_as}"}}
    await make_environment(api, customer.id, kind="http", options=options)
    asked = []

    class Server(VllmLike):
        async def ask(self, sent: Any, now: datetime, *, most_answer_bytes: int = 0) -> Any:
            asked.append((sent.method, sent.url.removeprefix("https://box.example.com"), json.loads(sent.body)))
            return await ServeLike().ask(sent, now, most_answer_bytes=most_answer_bytes)

    await promote(api, adapter)
    await push_to(system, Server())
    await api.post(f"/adapters/{adapter['id']}/withdraw", {"stage": "test", "reason": "over"})
    await push_to(system, Server())
    body = {"lora_nickname": "cyberpunk", "about": {"v": 1, "n": "v1"}}
    assert asked == [("POST", "/v1/set_lora", body), ("DELETE", "/loras/cyberpunk", {})]


async def test_a_webhook_is_told_signed_and_by_one_id_for_all_attempts(
    api: Api, system: System, clock: ManualClock
) -> None:
    clock.now = datetime.now(UTC)  # its verifier knows one clock only
    customer = await make_ready_customer(api, starts_at="2026-01-01T00:00:00Z")
    adapter = await make_adapter(api, system, customer)
    async with open_receiver() as receiver:
        system.services.settings.webhook_networks = "127.0.0.1/32"
        async with customer_api(api, customer.id) as own:
            made = await make_environment(own, None, kind="webhook", url=receiver.url)
            await promote(own, adapter)
        sender = HttpSender(read_networks("127.0.0.1/32"))
        await push_to(system, ServeLike(is_away=True))
        clock.advance(seconds=2)
        await push_to(system, sender)
    ((headers, body),) = receiver.got
    told = verify(made["secret"], headers, body)
    assert (told["type"], told["data"]["action"], told["data"]["served_as"]) == ("adapter.push", "load", "cyberpunk")
    assert told["data"]["download"] == f"/v1/adapters/{adapter['id']}/download?layout=peft"
    assert headers["webhook-id"].startswith("psh_")
    assert "authorization" not in headers
    assert (await get_push(api, made))["state"] == "live"


async def test_endpoints_hear_of_promotions(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    adapter = await make_adapter(api, system, customer)
    await make_endpoint(api, customer.id, event_types=["adapter.promoted"])
    promotion = await promote(api, adapter)
    sender = PaperSender()
    await tell(system, sender)
    (told,) = [json.loads(body)["data"] for _headers, body in sender.sent]
    assert (told["adapter_id"], told["stage"], told["promotion_id"]) == (adapter["id"], "test", promotion["id"])


async def test_a_token_goes_to_no_other_server_than_it_was_named_for(api: Api) -> None:
    customer = await make_ready_customer(api)
    elsewhere = "https://mine.example.org"
    async with customer_api(api, customer.id) as own:
        path = f"/environments/{(await make_environment(own, None, token='a-token-of-the-box'))['id']}"
        for url in (elsewhere, "https://box.example.com:8443", "http://box.example.com"):
            refused = (await own.call("PATCH", path, json={"url": url}, expect=422)).json()
            assert refused["errors"][0]["field"] in {"token", "url"}, url
        await own.call("PATCH", path, json={"url": "https://BOX.example.com:443/behind"}, expect=200)
        both = {"url": elsewhere, "token": "a-token-of-mine"}
        assert (await own.call("PATCH", path, json=both, expect=200)).json()["url"] == elsewhere
        hook = await make_environment(own, None, kind="webhook", url="https://box.example.com/hook")
        await own.call("PATCH", f"/environments/{hook['id']}", json={"url": elsewhere}, expect=200)


async def test_a_change_leaves_an_environment_one_of_its_kind(api: Api) -> None:
    customer = await make_ready_customer(api)
    hook = await make_environment(api, customer.id, kind="webhook")
    call = await make_environment(api, customer.id, kind="http", options={"load": {"path": "/load"}})
    for each, change in ((hook, {"token": "no-secret-of-a-webhook"}), (call, {"options": {}})):
        refused = await api.call("PATCH", f"/environments/{each['id']}", json=change, expect=422)
        assert refused.json()["errors"][0]["field"].partition(".")[0] in change


async def test_a_server_that_answers_nonsense_keeps_no_other_from_being_looked_at(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    odd, sane = [await make_environment(api, customer.id, url=f"https://{name}.example.com") for name in ("a", "b")]
    await promote(api, await make_adapter(api, system, customer))
    server = ServeLike()
    await push_to(system, server)

    class OneIsOdd(ServeLike):
        async def ask(self, sent: Any, now: datetime, *, most_answer_bytes: int = 0) -> Any:
            if sent.url.startswith("https://a."):
                return answer("[" * 1_000_000)
            return await server.ask(sent, now, most_answer_bytes=most_answer_bytes)

    clock.advance(seconds=60)
    await look_at_all(system, OneIsOdd())
    told = [await api.get(f"/environments/{each['id']}") for each in (odd, sane)]
    assert [each["answered_at"] is not None for each in told] == [False, True]
    assert "is no list" in told[0]["error"]
