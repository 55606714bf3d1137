"""`ETag` and `If-Match`: who changes what somebody else has changed meanwhile is told, and nothing is done."""

import pytest

from broker import errors
from broker.http.versions import make_etag, require_version
from broker.system import System
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.pools import register_pool
from tests.broker.running_jobs import start_job

SETTINGS = {"priority": 200, "max_gpus": None, "pools": ["a", "b"]}
CHANGES = {"priority": 100, "max_gpus": 8, "pools": ["a"], "other": 1}


def test_a_version_is_of_the_values_alone() -> None:
    assert make_etag(SETTINGS) == make_etag(dict(reversed(SETTINGS.items())))
    assert make_etag(SETTINGS) != make_etag(SETTINGS | {"priority": 201})


@pytest.mark.parametrize("seen", [None, "*", make_etag(SETTINGS), f'"other", {make_etag(SETTINGS)}'])
def test_what_is_as_it_was_seen_may_be_changed(seen: str | None) -> None:
    require_version(seen, SETTINGS, CHANGES, what=("queue", "x"))


def test_what_was_changed_meanwhile_is_told_with_what_is_there_now() -> None:
    with pytest.raises(errors.VersionMismatch) as refused:
        require_version('"other"', SETTINGS, CHANGES | {"max_gpus": None}, what=("queue", "x"))
    told = [(each.field, each.message) for each in refused.value.errors]
    assert told == [("priority", "is 200 now"), ("pools", "is a, b now")]


async def test_each_thing_that_is_changed_in_place_has_its_version(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    async with system.work() as work:
        await register_pool(work, name="test")
    changes = {
        "/queues/standard": ({"weight": 120}, {"weight": 130}),
        "/pools/test": ({"discipline": "first-come"}, {"discipline": "fair"}),
        "/retention": ({"kept_checkpoints": 4}, {"kept_checkpoints": 5}),
        f"/contracts/{customer.contract['id']}/quota": ({"weight": 90, "reason": "x"}, {"weight": 80, "reason": "x"}),
        f"/jobs/{job.id}": ({"name": "one"}, {"name": "two"}),
    }
    async with customer_api(api, customer.id) as own:
        for path, (first, second) in changes.items():
            who = own if path.startswith("/jobs") else api
            seen = (await who.call("GET", path, expect=200)).headers["etag"]
            await who.call("PATCH", path, json=first, headers={"If-Match": seen}, expect=200)
            refused = await who.call("PATCH", path, json=second, headers={"If-Match": seen}, expect=412)
            assert refused.json()["type"] == "/problems/version-mismatch"
            newest = (await who.call("GET", path, expect=200)).headers["etag"]
            await who.call("PATCH", path, json=second, headers={"If-Match": newest}, expect=200)
