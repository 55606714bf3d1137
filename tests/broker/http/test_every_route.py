"""What holds for every route, whatever it does: who asks, problems, ids, keys, pages. Each route is asked."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
from fastapi import FastAPI

from broker.http.openapi import make_workers_openapi
from tests.broker.factories import Api

# Opened by nobody's key: health, metrics, and what the provider's signature opens.
WITHOUT_A_KEY = {"GET /healthz", "GET /readyz", "GET /metrics", "POST /v1/webhooks/stripe"}
# The first goes on by the id of the event that was told last, as its stream does; the other tells the nearest alone.
WITHOUT_PAGES = {"GET /v1/jobs/{job_id}/events", "GET /v1/jobs/{job_id}/ahead"}
OF_OTHERS = ("/openai", "/hf", "/dashscope", "/together", "/mcp")


def list_routes(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in {**app.openapi()["paths"], **make_workers_openapi(app)["paths"]}.items():
        for method, operation in item.items():
            if f"{method.upper()} {path}" not in WITHOUT_A_KEY and not path.startswith(OF_OTHERS):
                yield method.upper(), path, operation


def find_faults_of_problem(answer: httpx.Response, request_id: str) -> list[str]:
    """Find what a refusal lacks of what every problem has."""
    faults = [] if answer.headers.get("X-Request-Id") == request_id else ["its request id is not told back"]
    if answer.headers.get("content-type") != "application/problem+json":
        return [*faults, f"it is {answer.headers.get('content-type')}, no problem"]
    problem = answer.json()
    if not {"type", "title", "status", "detail"} <= problem.keys() or problem["status"] != answer.status_code:
        faults.append(f"it lacks members: {problem}")
    if not re.fullmatch(r"/problems/[a-z0-9-]+", problem.get("type", "")):
        faults.append(f"its type is {problem.get('type')}")
    return faults


async def test_every_refusal_is_a_problem_with_the_id_of_its_request(api: Api, routed_app: FastAPI) -> None:
    """Nobody's key, no such object, a body that is none, an unknown parameter."""
    faults = []
    for number, (method, path, _operation) in enumerate(list_routes(routed_app)):
        address, request_id = re.sub("{.*?}", "nothing", path), f"every-route.{number}"
        told = {"X-Request-Id": request_id}
        asks = [(401, {"headers": {**told, "Authorization": "Bearer nobody"}})]
        asks += [(None, {"headers": told, "params": {"no_such_parameter": "1"}})]
        if method != "GET":
            asks += [(None, {"headers": {**told, "Content-Type": "application/json"}, "content": b"{"})]
        for status, options in asks:
            answer = await api.http.request(method, address, **options)
            if answer.status_code < 400 or answer.status_code == 500 or status not in {None, answer.status_code}:
                faults.append(f"{method} {path}: {answer.status_code}")
                continue
            faults += [f"{method} {path}: {fault}" for fault in find_faults_of_problem(answer, request_id)]
            if answer.status_code == 401 and answer.headers.get("WWW-Authenticate") != "Bearer":
                faults.append(f"{method} {path}: it does not say how to authenticate")
    assert faults == []


async def test_every_post_takes_an_idempotency_key(api: Api, routed_app: FastAPI) -> None:
    """A key that is too long is refused before anything is done, whatever else is wrong."""
    faults = []
    for method, path, operation in list_routes(routed_app):
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        if (method == "POST") != ("Idempotency-Key" in names):
            faults.append(f"{method} {path}: told wrongly")
        if method == "POST":
            address, headers = re.sub("{.*?}", "nothing", path), {"Idempotency-Key": "k" * 256}
            answer = await api.http.request(method, address, headers=headers, json={})
            named = [each["field"] for each in answer.json().get("errors", [])]
            if answer.status_code != 422 or named != ["Idempotency-Key"]:
                faults.append(f"{method} {path}: {answer.status_code} {named}")
    assert faults == []


def test_every_list_has_pages_by_a_cursor(routed_app: FastAPI) -> None:
    """What answers with `next_cursor` takes `cursor` and `limit`, and the other way round."""
    schemas, faults = routed_app.openapi()["components"]["schemas"], []
    for method, path, operation in list_routes(routed_app):
        content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        is_page = "next_cursor" in schemas.get(name, {}).get("properties", {})
        taken = {parameter["name"] for parameter in operation.get("parameters", [])} & {"cursor", "limit"}
        if (
            method == "GET"
            and f"{method} {path}" not in WITHOUT_PAGES
            and taken != ({"cursor", "limit"} if is_page else set())
        ):
            faults.append(f"{method} {path}: {'a page' if is_page else 'no page'} takes {sorted(taken)}")
    assert faults == []


async def test_addresses_that_nobody_has_and_methods_that_nobody_takes_are_problems(api: Api) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("TRACE", "/v1/jobs", 405), ("GET", "/v1/jobs/", 404)):
        answer = await api.http.request(method, path, headers={"X-Request-Id": "r-1"})
        assert answer.status_code in {status, 307}, answer.text
        if answer.status_code != 307:
            assert find_faults_of_problem(answer, "r-1") == []


async def test_lists_come_in_the_order_that_is_asked_for(api: Api) -> None:
    made = [(await api.post("/customers", {"name": f"Customer {number}"}, expect=201))["id"] for number in range(3)]
    assert [each["id"] for each in (await api.get("/customers"))["data"]] == made[::-1]
    first = await api.get("/customers", order="oldest", limit=2)
    rest = await api.get("/customers", order="oldest", limit=2, cursor=first["next_cursor"])
    assert [each["id"] for each in first["data"] + rest["data"]] == made
    await api.get("/customers", order="cheapest", expect=422)
