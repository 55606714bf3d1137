"""How many versions of a name stay: by the customer's rule or that of ops, and never what is in use."""

from typing import Any

from broker.retention.service import sweep
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.environments.adapters import make_adapter, promote
from tests.broker.factories import CONFIG, Api, customer_api, make_ready_customer, submit_job


def versions_of(adapters: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((each["name"], each["version"]) for each in adapters["data"])


async def test_versions_beyond_the_newest_go_but_for_those_in_use(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    made = [await make_adapter(api, system, customer) for _version in range(6)]
    staged, before, tagged, started, old, newest = made[1], made[0], made[2], made[3], made[4], made[5]
    await promote(api, before)
    await promote(api, staged)
    async with customer_api(api, customer.id) as own:
        await own.call("PATCH", f"/adapters/{tagged['id']}", json={"tags": ["keep"]}, expect=200)
        config = {**CONFIG, "init_from": started["id"]}
        going_on = await submit_job(own, customer.dataset["id"], config=config)
        rule = {"name": "cyberpunk", "kept_versions": 1}
        tried = await own.post("/adapter-retention/preview", rule)
        assert (tried["count"], [each["id"] for each in tried["adapters"]]) == (1, [old["id"]])
        assert (await own.get("/adapter-retention"))["data"] == [], "what is tried is not set"
        kept = await own.post("/adapter-retention", rule)
        assert (kept["name"], kept["kept_versions"]) == ("cyberpunk", 1)
        assert len((await own.get("/adapters"))["data"]) == 6, "until the next sweep"
        await sweep(system)
        assert {each["id"] for each in (await own.get("/adapters"))["data"]} == {
            each["id"] for each in made if each is not old
        }
        assert (await own.get(f"/jobs/{old['job_id']}"))["adapter_id"] is None
        await own.post(f"/jobs/{going_on['id']}/cancel")
        await sweep(system)
        assert versions_of(await own.get("/adapters")) == [("cyberpunk", each) for each in (1, 2, 3, 6)]
    entries = (await api.get("/audit", action="sweep_adapters"))["data"]
    assert [entry["sent"]["adapters"] for entry in entries] == [
        [f"cyberpunk v4 {started['id']}"],
        [f"cyberpunk v5 {old['id']}"],
    ]
    assert (entries[0]["customer_id"], entries[0]["actor_role"]) == (customer.id, "system")
    clock.advance(seconds=11 * 60)  # a file stays so long for a submission that is under way
    await sweep(system)
    assert newest["id"] in {each["id"] for each in (await api.get("/adapters"))["data"]}
    assert len(list((system.services.settings.data_dir / "objects" / "adapters").rglob("*.safetensors"))) == 4


async def test_a_rule_of_a_name_goes_before_that_of_all_and_that_before_the_rule_of_ops(
    api: Api, system: System
) -> None:
    first, second = [await make_ready_customer(api) for _customer in range(2)]
    for style in ("ink", "tea"):
        for _version in range(3):
            await make_adapter(api, system, first, style=style)
    for _version in range(3):
        await make_adapter(api, system, second, style="ink")
    async with customer_api(api, first.id) as own:
        await own.post("/adapter-retention", {"kept_versions": 0})
        await own.post("/adapter-retention", {"name": "tea", "kept_versions": 3})
        await own.post("/adapter-retention", {"name": "tea", "kept_versions": 2})
        assert [(each["name"], each["kept_versions"]) for each in (await own.get("/adapter-retention"))["data"]] == [
            ("tea", 2),
            (None, 0),
        ]
    foreseen = await api.post("/retention/preview", {"kept_adapter_versions": 1})
    told = {each["kind"]: each["count"] for each in foreseen["removed"]}
    assert told["adapters"] == 3
    assert sum(each["size_bytes"] for each in foreseen["removed"] if each["kind"] == "adapters") > 0
    await api.call("PATCH", "/retention", json={"kept_adapter_versions": 1}, expect=200)
    await sweep(system)
    left = versions_of(await api.get("/adapters", customer_id=first.id))
    assert left == [("ink", 1), ("ink", 2), ("ink", 3), ("tea", 2), ("tea", 3)]
    assert versions_of(await api.get("/adapters", customer_id=second.id)) == [("ink", 3)]
    async with customer_api(api, first.id) as own:
        gone = await own.post("/adapter-retention", {"kept_versions": None})
        assert (gone["id"], gone["kept_versions"]) == (None, None)
    await sweep(system)
    left = versions_of(await api.get("/adapters", customer_id=first.id))
    assert left == [("ink", 3), ("tea", 2), ("tea", 3)], "without a rule of its own that of ops holds"


async def test_who_acts_in_projects_alone_sets_no_rule_of_all(api: Api) -> None:
    customer = await make_ready_customer(api)
    key = await api.post(
        f"/customers/{customer.id}/api-keys", {"name": "member", "confined_to_projects": True}, expect=201
    )
    async with Api.connect(api.app, key["key"]) as own:
        for path in ("/adapter-retention", "/adapter-retention/preview"):
            await own.post(path, {"kept_versions": 1}, expect=403)
