"""Promotions: one version is current of each name at each stage, said by whom and why, and it can be undone."""

import asyncio
from collections.abc import Awaitable

import pytest
from sqlalchemy import text

from broker import errors
from broker.adapters import promoting
from broker.adapters import service as adapters
from broker.adapters.model import Stage
from broker.system import System
from tests.broker.environments.adapters import make_adapter, promote
from tests.broker.factories import Api, customer_api, make_ready_customer


async def test_a_stage_has_one_version_and_an_undo_goes_back_to_the_one_before(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    first, second = [await make_adapter(api, system, customer) for _version in range(2)]
    assert [(each["name"], each["version"]) for each in (first, second)] == [("cyberpunk", 1), ("cyberpunk", 2)]
    async with customer_api(api, customer.id) as own:
        began = await promote(own, first, reason="first that works")
        again = await promote(own, first, reason="once more")
        assert (again["id"], again["reason"]) == (began["id"], "first that works"), "what is current stays as it is"
        replaced = await promote(own, second)
        assert (replaced["before_id"], replaced["actor_role"], replaced["is_current"]) == (
            first["id"],
            "customer",
            True,
        )
        (stage,) = (await own.get("/adapter-stages", name="cyberpunk"))["data"]
        assert (stage["stage"], stage["adapter_id"]) == ("test", second["id"])
        assert (await own.get(f"/adapters/{second['id']}"))["stages"] == ["test"]
        assert [each["id"] for each in (await own.get("/adapters", stage="test"))["data"]] == [second["id"]]
        late = await own.post(f"/promotions/{began['id']}/undo", {"reason": "worse"}, expect=409)
        assert "changed since" in late["detail"]
        undone = await own.post(f"/promotions/{replaced['id']}/undo", {"reason": "worse"})
        assert (undone["adapter_id"], undone["undoes"]) == (first["id"], replaced["id"])
        redone = await own.post(f"/promotions/{undone['id']}/undo", {"reason": "it was the prompt"})
        assert redone["adapter_id"] == second["id"]
        told = (await own.get("/promotions", name="cyberpunk", stage="test"))["data"]
        assert [each["reason"] for each in told] == ["it was the prompt", "worse", "good", "first that works"]
        assert [each["is_current"] for each in told] == [True, False, False, False]


async def test_the_first_promotion_undone_leaves_a_stage_with_nothing(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    adapter = await make_adapter(api, system, customer)
    began = await promote(api, adapter, stage="production")
    undone = await api.post(f"/promotions/{began['id']}/undo", {"reason": "too early"})
    assert (undone["adapter_id"], (await api.get("/adapter-stages"))["data"]) == (None, [])
    await promote(api, adapter, stage="production")
    out = {"stage": "production", "reason": "the campaign is over"}
    withdrawn = await api.post(f"/adapters/{adapter['id']}/withdraw", out)
    assert (withdrawn["adapter_id"], withdrawn["before_id"]) == (None, adapter["id"])
    await api.post(f"/adapters/{adapter['id']}/withdraw", out, expect=409)


async def test_promotions_at_once_follow_each_other(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    versions = [await make_adapter(api, system, customer) for _version in range(3)]
    await asyncio.gather(*(promote(api, each) for each in versions))
    told = (await api.get("/promotions", stage="test"))["data"]
    befores = [each["before_id"] for each in told]
    assert befores == [*(each["adapter_id"] for each in told[1:]), None], "each replaced the one before it"


async def test_production_takes_a_key_that_may(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    adapter = await make_adapter(api, system, customer)
    keys = f"/customers/{customer.id}/api-keys"
    ci = (await api.post(keys, {"name": "ci", "scopes": ["training:write"]}, expect=201))["key"]
    released = {"name": "release", "scopes": ["training:write", "production:write"]}
    release = (await api.post(keys, released, expect=201))["key"]
    async with Api.connect(api.app, ci) as own:
        await promote(own, adapter)
        refused = await promote(own, adapter, stage="production", expect=403)
        assert "production:write" in refused["detail"]
    async with Api.connect(api.app, release) as own:
        made = await promote(own, adapter, stage="production")
    async with Api.connect(api.app, ci) as own:
        await own.post(f"/promotions/{made['id']}/undo", {"reason": "no"}, expect=403)


async def test_staff_promotes_on_the_record(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    await promote(api, await make_adapter(api, system, customer), reason="they asked by phone")
    (entry,) = (await api.get("/audit", action="promote_adapter"))["data"]
    assert (entry["customer_id"], entry["sent"]["reason"]) == (customer.id, "they asked by phone")


async def test_members_of_a_project_displace_no_other_projects_version(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    mine, others = [
        (await api.post("/projects", {"customer_id": customer.id, "name": name}, expect=201))["id"]
        for name in ("mine", "others")
    ]
    own_one = await make_adapter(api, system, customer, project_id=mine)
    theirs = await make_adapter(api, system, customer, project_id=others)
    await promote(api, theirs)
    member = {"name": "member", "confined_to_projects": True}
    key = await api.post(f"/customers/{customer.id}/api-keys", member, expect=201)
    await api.call("PUT", f"/projects/{mine}/members/{key['id']}", json={"role": "member"}, expect=200)
    async with Api.connect(api.app, key["key"]) as own:
        refused = await promote(own, own_one, expect=409)
        assert "another project" in refused["detail"]
        await own.get(f"/promotions/{(await api.get('/promotions'))['data'][0]['id']}", expect=404)
    await api.call("PUT", f"/projects/{mine}/members/{key['id']}", json={"role": "viewer"}, expect=200)
    async with Api.connect(api.app, key["key"]) as viewer:
        await promote(viewer, own_one, expect=404)


async def test_what_a_stage_has_is_not_deleted_but_goes_with_its_customer(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    adapter = await make_adapter(api, system, customer)
    await promote(api, adapter)
    refused = (await api.call("DELETE", f"/adapters/{adapter['id']}", expect=409)).json()
    assert "withdraw it first" in refused["detail"]
    name = (await api.get(f"/customers/{customer.id}"))["name"]
    await api.post(f"/customers/{customer.id}/deletions", {"confirm": name}, expect=201)
    assert (await api.get("/adapter-stages", customer_id=customer.id))["data"] == []
    (withdrawn, _promoted) = (await api.get("/promotions", customer_id=customer.id))["data"]
    assert (withdrawn["adapter_id"], withdrawn["reason"]) == (None, "it was deleted")


COUNT_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def outcome_of_two(system: System, first: Awaitable[object], second: asyncio.Task[object]) -> object:
    """Let one finish its transaction once another waits for it; what came of the other."""
    while not second.done():
        async with system.work() as work:
            if (await work.session.execute(text(COUNT_WAITING))).scalar():
                break
    await first
    return (await asyncio.gather(second, return_exceptions=True))[0]


async def test_what_becomes_current_meanwhile_is_not_deleted(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    made = await make_adapter(api, system, customer)

    async def delete() -> None:
        async with system.work() as work:
            await adapters.delete_adapter(work, made["id"])

    async with system.work() as work:
        adapter = await adapters.get_adapter(work, made["id"])
        await promoting.promote(work, adapter, Stage.TEST, reason="good")
        task = asyncio.create_task(delete())
        came = await outcome_of_two(system, work.session.commit(), task)
    assert isinstance(came, errors.IllegalTransition), came
    assert (await api.get(f"/adapters/{made['id']}"))["stages"] == ["test"]


async def test_what_is_being_deleted_becomes_current_no_more(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    made = await make_adapter(api, system, customer)

    async with system.work() as work:
        seen = await adapters.get_adapter(work, made["id"])
        work.session.expunge(seen)
        await adapters.delete_adapter(work, made["id"])

        async def promote_it() -> None:
            async with system.work() as other:
                await promoting.promote(other, await other.session.merge(seen), Stage.TEST, reason="good")

        task = asyncio.create_task(promote_it())
        came = await outcome_of_two(system, work.session.commit(), task)
    assert isinstance(came, errors.NotFound), came
    assert (await api.get("/adapter-stages"))["data"] == []


async def test_a_withdrawal_takes_nothing_away_that_came_meanwhile(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    first, second = [await make_adapter(api, system, customer) for _version in range(2)]
    await promote(api, first)

    async with system.work() as work:
        adapter = await adapters.get_adapter(work, first["id"])
        current = await promoting.get_current(work, adapter, Stage.TEST)
        replaced = await promote(api, second)
        with pytest.raises(errors.IllegalTransition, match="has another cyberpunk"):
            await promoting.withdraw(work, current, reason="over")
    (stage,) = (await api.get("/adapter-stages"))["data"]
    assert (stage["adapter_id"], stage["promotion_id"]) == (second["id"], replaced["id"])
