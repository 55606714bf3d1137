"""Rotation: a new key takes the place of an old one, and for a while both are good."""

from datetime import timedelta
from typing import Any

from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, customer_api, make_customer, staff_key


async def make_key(api: Api, **fields: Any) -> Any:
    customer = await make_customer(api)
    return await api.post(f"/customers/{customer['id']}/api-keys", {"name": "ci", **fields}, expect=201)


async def test_both_keys_are_good_until_the_overlap_is_over(api: Api, clock: ManualClock) -> None:
    old = await make_key(api, scopes=["training:write", "account:write"], max_cost="38.20")
    async with Api.connect(api.app, old["key"]) as before:
        new = await before.post(f"/api-keys/{old['id']}/rotate", {"overlap_hours": 2}, expect=201)
        kept = ("role", "name", "scopes", "max_cost", "customer_id", "expires_at", "requests_per_minute")
        assert {name: new[name] for name in kept} == {name: old[name] for name in kept}
        assert (new["replaces"], new["key"] == old["key"]) == (old["id"], False)
        clock.now = START + timedelta(hours=2, microseconds=-1)
        await before.get("/whoami")
        clock.now = START + timedelta(hours=2)
        await before.get("/whoami", expect=401)
    async with Api.connect(api.app, new["key"]) as after:
        assert (await after.get("/whoami"))["api_key"]["replaces"] == old["id"]


async def test_new_key_lasts_as_long_as_the_old_one_was_made_for(api: Api, clock: ManualClock) -> None:
    old = await make_key(api, expires_at=(START + timedelta(days=30)).isoformat())
    clock.advance(days=29, hours=23)
    new = await api.post(f"/api-keys/{old['id']}/rotate", {}, expect=201)
    assert new["expires_at"] == (clock.now + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    listed = {key["id"]: key for key in (await api.get("/api-keys", customer_id=old["customer_id"]))["data"]}
    assert listed[old["id"]]["expires_at"] == old["expires_at"]  # an overlap makes no key last longer


async def test_a_key_is_replaced_once_and_not_after_its_end(api: Api) -> None:
    old = await make_key(api)
    new = await api.post(f"/api-keys/{old['id']}/rotate", {}, expect=201)
    assert new["id"] in (await api.post(f"/api-keys/{old['id']}/rotate", {}, expect=409))["detail"]
    await api.call("DELETE", f"/api-keys/{new['id']}", expect=200)
    await api.post(f"/api-keys/{new['id']}/rotate", {}, expect=409)
    await api.post("/api-keys/key_none/rotate", {}, expect=404)


async def test_a_retry_gets_the_same_key_without_its_secret(api: Api) -> None:
    old = await make_key(api)
    first = await api.post(f"/api-keys/{old['id']}/rotate", {}, expect=201, key="r-1")
    again = await api.post(f"/api-keys/{old['id']}/rotate", {}, expect=201, key="r-1")
    assert again == {**first, "key": None}


async def test_staff_rotates_its_own_key_and_nobody_elses(api: Api) -> None:
    async with Api.connect(api.app, await staff_key(api, "ops")) as ops:
        own = (await ops.get("/whoami"))["api_key"]["id"]
        new = await ops.post(f"/api-keys/{own}/rotate", {"overlap_hours": 0}, expect=201)
        await ops.get("/whoami", expect=401)
    async with Api.connect(api.app, new["key"]) as ops:
        admin = (await api.get("/whoami"))["api_key"]["id"]
        await ops.post(f"/api-keys/{admin}/rotate", {}, expect=404)


async def test_last_administrators_key_is_rotated_only_into_one_that_lasts(api: Api) -> None:
    own = (await api.get("/whoami"))["api_key"]["id"]
    soon = (START + timedelta(days=3)).isoformat()
    await api.post(f"/api-keys/{own}/rotate", {"expires_at": soon}, expect=409)
    new = await api.post(f"/api-keys/{own}/rotate", {}, expect=201)
    assert new["role"] == "admin"


async def test_a_customer_rotates_no_others_key(api: Api) -> None:
    foreign, mine = await make_key(api), await make_customer(api)
    async with customer_api(api, mine["id"]) as own:
        await own.post(f"/api-keys/{foreign['id']}/rotate", {}, expect=404)
