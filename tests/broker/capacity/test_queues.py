"""Queues as ops tunes them: what is sent changes, null takes a limit away, nothing else moves."""

from typing import Any

from broker.capacity.schemas import QueuePatch
from tests.broker.factories import Api

TUNED: dict[str, Any] = {"weight": 200, "max_wait_seconds": 3600, "max_jobs": 2, "max_gpus": 4}
WRONG: list[dict[str, Any]] = [
    {"weight": 0},
    {"weight": -5},
    {"max_wait_seconds": 59},
    {"max_jobs": 0},
    {"max_gpus": -1},
    {"state": "shut"},
    {"open": True, "state": "holding"},
    {"open": False, "state": "draining"},
    {"allowed_pools": []},
    {"allowed_pools": ["gone"]},
]


async def tune(api: Api, expect: int = 200, **changes: Any) -> dict[str, Any]:
    answer = await api.call("PATCH", "/queues/standard", json=changes, expect=expect)
    return dict(answer.json())


async def test_queue_is_tuned_and_null_takes_a_limit_away(api: Api) -> None:
    before = await api.get("/queues/standard")
    tuned = await tune(api, **TUNED)
    of_nobody = {"frees": 0, "freed_job_ids": [], "stopping": [], "warnings": []}
    assert tuned == {**before, **TUNED, **of_nobody}
    assert await tune(api, max_jobs=None, weight=None) == {**tuned, "max_jobs": None}


def test_a_pool_that_is_named_twice_is_one() -> None:
    assert QueuePatch(allowed_pools=["a", "b", "a"]).list_changes() == {"allowed_pools": ["a", "b"]}


async def test_what_no_queue_can_be_is_refused_by_its_field_and_nothing_changes(api: Api) -> None:
    before = await api.get("/queues/standard")
    for wrong in WRONG:
        problem = await tune(api, 422, priority=7, **wrong)
        assert next(iter(wrong)) in str(problem)
    assert await api.get("/queues/standard") == before


async def test_open_is_the_state_as_older_clients_know_it(api: Api) -> None:
    told = [await tune(api, **changes) for changes in ({"open": False}, {"state": "draining"}, {"open": True})]
    assert [(queue["state"], queue["open"]) for queue in told] == [
        ("holding", False),
        ("draining", True),
        ("open", True),
    ]
