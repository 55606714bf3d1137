"""The short way answers, byte for byte, what FastAPI's own way does: for good requests, bad ones and faults."""

from collections.abc import Iterator
from copy import copy
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import OperationalError
from starlette.requests import ClientDisconnect

from broker import errors
from broker.http.edge import TransactionalRoute
from broker.http.short_way import ShortWay, find_handler
from tests.broker.factories import CONFIG, Api, make_ready_customer

NOWHERE = "run_01k00000000000000000000000"
# What is asked, and how: each with the same request id, so that nothing in an answer is of one request alone.
ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/jobs", {"json": {}}),
    ("POST", "/v1/jobs", {"json": {"config": 1, "dataset_id": "dat_x", "gpus": "many", "unheard_of": True}}),
    ("POST", "/v1/jobs", {"content": b'{"name": ', "headers": {"Content-Type": "application/json"}}),
    ("POST", "/v1/jobs", {"content": b'{"name": "\\u0000"}', "headers": {"Content-Type": "application/json"}}),
    ("POST", "/v1/jobs", {"content": b'{"a": 1, "a": 2}', "headers": {"Content-Type": "application/json"}}),
    ("POST", "/v1/jobs", {"content": b"name=a", "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/v1/jobs", {"content": b""}),
    ("POST", "/v1/jobs", {"json": {}, "headers": {"Authorization": ""}}),
    ("POST", "/v1/jobs", {"json": {}, "headers": {"Authorization": "Bearer lbk_00000000_unknown"}}),
    ("POST", "/v1/jobs", {"json": {}, "headers": {"Idempotency-Key": "k" * 300}}),
    ("POST", "/v1/jobs?unheard_of=1", {"json": {}}),
    ("POST", f"/v1/runs/{NOWHERE}/heartbeats", {"json": {"fence_token": 1}}),
    ("POST", f"/v1/runs/{NOWHERE}/heartbeats", {"json": {"fence_token": -1, "usage": 3}}),
    ("GET", "/v1/jobs/job_unknown", {}),
    ("GET", "/v1/jobs/%00", {}),
    ("GET", "/v1/customers?limit=0", {}),
    ("GET", "/v1/customers", {}),
    ("GET", "/v1/customers/", {}),
    ("HEAD", "/v1/customers", {}),
    ("PATCH", "/v1/jobs", {"json": {}}),
    ("GET", "/v1/nothing", {}),
    ("GET", "/healthz", {}),
]


def take_long_way(app: FastAPI) -> FastAPI:
    """Make the same application without the short way."""
    long = copy(app)
    long.user_middleware = [each for each in app.user_middleware if each.cls is not ShortWay]
    long.middleware_stack = None
    assert len(long.user_middleware) == len(app.user_middleware) - 1
    return long


@pytest.fixture
def ways(app: FastAPI) -> tuple[FastAPI, FastAPI]:
    return app, take_long_way(app)


async def ask(app: FastAPI, api: Api, method: str, path: str, options: dict[str, Any]) -> tuple[Any, ...]:
    named = {"X-Request-Id": "asked-twice", **options.get("headers", {})}
    async with Api.connect(app, api.http.headers["authorization"].removeprefix("Bearer ")) as own:
        response = await own.http.request(method, path, **{**options, "headers": named})
    return response.status_code, sorted(response.headers.multi_items()), response.content


async def test_both_ways_answer_the_same(api: Api, ways: tuple[FastAPI, FastAPI]) -> None:
    await make_ready_customer(api)
    for asked in ASKED:
        short, long = [await ask(app, api, *asked) for app in ways]
        assert short == long, asked


async def test_a_retry_on_either_way_gets_the_first_answer(api: Api, ways: tuple[FastAPI, FastAPI]) -> None:
    customer = await make_ready_customer(api)
    order = {"config": CONFIG, "dataset_id": customer.dataset["id"], "customer_id": customer.id}
    options = {"json": order, "headers": {"Idempotency-Key": "once"}}
    (first, *_), short, long = [await ask(app, api, "POST", "/v1/jobs", options) for app in (ways[0], *ways)]
    assert first == 201
    assert short == long
    assert ("idempotency-replayed", "true") in short[1]


async def test_what_nobody_expects_is_a_500_on_both_ways(
    api: Api, ways: tuple[FastAPI, FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_work: object, _job_id: str) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("broker.jobs.service.get_job", fail)
    short, long = [await ask(app, api, "GET", "/v1/jobs/job_1", {}) for app in ways]
    assert short == long
    assert short[0] == 500


def list_planned(app: FastAPI) -> Iterator[str]:
    for context in iter_route_contexts(app.router.routes):
        route = context.original_route
        if isinstance(route, TransactionalRoute) and route.has_plan:
            yield from (f"{method} {route.path}" for method in context.methods or ())


def test_what_is_asked_most_goes_the_short_way(routed_app: FastAPI) -> None:
    asked_most = {
        "POST /v1/jobs",
        "POST /v1/runs/{run_id}/heartbeats",
        "POST /v1/quotes",
        "GET /v1/contracts/{contract_id}/balance",
        "GET /v1/jobs/{job_id}",
    }
    assert asked_most <= set(list_planned(routed_app))


@pytest.mark.parametrize(
    "error",
    [errors.NotFound("job", "job_1"), OperationalError(None, None, ValueError()), OSError(), ClientDisconnect()],
)
def test_an_error_has_the_handler_of_its_nearest_class(routed_app: FastAPI, error: Exception) -> None:
    assert find_handler(Request({"type": "http", "app": routed_app}), error) is not None


def test_what_nobody_expects_has_no_handler_here(routed_app: FastAPI) -> None:
    assert find_handler(Request({"type": "http", "app": routed_app}), ZeroDivisionError()) is None
