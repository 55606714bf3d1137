"""ETags: what is known is not sent again, and nothing is changed that is another by now."""

import asyncio

from fastapi import FastAPI

from broker.system import System
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer
from tests.broker.tenants import make_tenant


async def test_an_object_that_is_known_is_not_sent_again(api: Api) -> None:
    customer = await make_customer(api)
    path = f"/customers/{customer['id']}"
    first = await api.call("GET", path, expect=200)
    tag = first.headers["ETag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = await api.call("GET", path, expect=304, headers={"If-None-Match": known})
        assert (again.headers["ETag"], again.content) == (tag, b"")
    await api.call("GET", path, expect=200, headers={"If-None-Match": '"other"'})
    await api.call("PATCH", path, expect=200, json={"requests_per_minute": 7})
    changed = await api.call("GET", path, expect=200, headers={"If-None-Match": tag})
    assert changed.headers["ETag"] != tag
    assert (await api.call("HEAD", path, expect=200)).headers["ETag"] == changed.headers["ETag"]


async def test_a_change_of_what_was_changed_since_is_refused(api: Api) -> None:
    customer = await make_customer(api)
    path = f"/customers/{customer['id']}"
    tag = (await api.call("GET", path)).headers["ETag"]
    read = {"If-Match": tag}
    await api.call("PATCH", path, expect=200, json={"requests_per_minute": 7}, headers=read)
    refused = await api.call("PATCH", path, expect=412, json={"requests_per_minute": 8}, headers=read)
    assert refused.json()["type"] == "/problems/version-mismatch"
    now = await api.call("GET", path, expect=200)
    assert (now.json()["requests_per_minute"], refused.json()["etag"]) == (7, now.headers["ETag"])
    actions = [entry["action"] for entry in (await api.get("/audit"))["data"]]
    assert actions.count("change_customer_limit") == 1, "a refusal is no decision"
    await api.call("PATCH", path, expect=200, json={"requests_per_minute": 8}, headers={"If-Match": "*"})


async def test_of_two_who_read_the_same_one_changes_it(api: Api) -> None:
    path = "/queues/standard"
    read = {"If-Match": (await api.call("GET", path)).headers["ETag"]}
    answers = await asyncio.gather(
        *(api.call("PATCH", path, json={"weight": weight, "reason": "a race"}, headers=read) for weight in (150, 250))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_what_has_no_version_of_its_own_is_guarded_by_its_answer(api: Api, system: System) -> None:
    tenant = await make_tenant(api, system)
    changes = {
        f"/templates/{tenant.template_id}": {"archived": True},
        f"/adapters/{tenant.adapter_id}": {"tags": ["approved"]},
    }
    for path, change in changes.items():
        read = {"If-Match": (await api.call("GET", path, expect=200)).headers["ETag"]}
        await api.call("PATCH", path, expect=200, json=change, headers=read)
        refused = await api.call("PATCH", path, expect=412, json=change, headers=read)
        assert refused.json()["type"] == "/problems/version-mismatch", path


async def test_an_object_with_a_version_of_its_own_is_always_sent(api: Api) -> None:
    """Two who look at a queue while jobs come and go have seen the same version, and other jobs."""
    tag = (await api.call("GET", "/queues/standard", expect=200)).headers["ETag"]
    again = await api.call("GET", "/queues/standard", expect=200, headers={"If-None-Match": tag})
    assert again.headers["ETag"] == tag


async def test_a_condition_tells_nothing_of_other_tenants(api: Api) -> None:
    foreign, mine = await make_ready_customer(api), await make_customer(api)
    async with customer_api(api, mine["id"]) as own:
        path = f"/datasets/{foreign.dataset['id']}"
        await own.call("GET", path, expect=404, headers={"If-None-Match": "*"})
        await own.call("PATCH", "/queues/standard", expect=403, json={}, headers={"If-Match": "*"})


async def test_where_there_is_no_etag_a_condition_is_refused(api: Api) -> None:
    refused = await api.call("DELETE", "/api-keys/key_x/sessions", expect=422, headers={"If-Match": '"x"'})
    assert refused.json()["errors"][0]["field"] == "If-Match"


def test_the_document_tells_who_knows_etags(routed_app: FastAPI) -> None:
    paths = routed_app.openapi()["paths"]
    read, write = paths["/v1/customers/{customer_id}"]["get"], paths["/v1/customers/{customer_id}"]["patch"]
    assert "ETag" in read["responses"]["200"]["headers"]
    assert "304" in read["responses"]
    assert "412" in write["responses"]
    assert "If-Match" in {parameter["name"] for parameter in write["parameters"]}
    no_object = paths["/v1/people/{person_id}"]["delete"]
    assert "412" not in no_object["responses"], "nobody can have its ETag"
    assert not any(name.startswith("x-etag") or name == "x-condition" for name in [*read, *write])
