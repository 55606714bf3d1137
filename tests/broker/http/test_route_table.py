"""The table of routes: it finds what FastAPI would find, and leaves it what it does not know."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Match

from broker.http.route_table import RouteTable


async def answer() -> None:
    """Answer nothing: these routes are looked for, not called."""


@pytest.fixture
def table() -> RouteTable:
    app = FastAPI()
    for path in (
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/runs",
        "/v1/jobs/summary/costs",
        "/files/{p:path}",
    ):
        app.get(path, name=path)(answer)
    return RouteTable(app)


def find(
    table: RouteTable, path: str, *, method: str = "GET", root_path: str = ""
) -> tuple[str, dict[str, str]] | None:
    match, selected = table.matches({"type": "http", "method": method, "path": path, "root_path": root_path})
    return (selected["route"].path, selected["path_params"]) if match == Match.FULL else None


def test_a_path_is_found_with_its_parameters(table: RouteTable) -> None:
    assert find(table, "/v1/jobs") == ("/v1/jobs", {})
    assert find(table, "/v1/jobs/job_1") == ("/v1/jobs/{job_id}", {"job_id": "job_1"})
    assert find(table, "/v1/jobs/job_1/runs") == ("/v1/jobs/{job_id}/runs", {"job_id": "job_1"})


def test_a_part_that_begins_another_route_is_a_parameter_all_the_same(table: RouteTable) -> None:
    assert find(table, "/v1/jobs/summary/runs") == ("/v1/jobs/{job_id}/runs", {"job_id": "summary"})
    assert find(table, "/v1/jobs/summary/costs") == ("/v1/jobs/summary/costs", {})


def test_what_stands_before_a_proxys_path_is_left_out(table: RouteTable) -> None:
    assert find(table, "/broker/v1/jobs", root_path="/broker") == ("/v1/jobs", {})


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/jobs/", "/v1/jobs//runs", "/v1/jobs/a/b", "/files/a", "/files/a/b"])
def test_what_is_no_plain_route_is_left_to_fastapi(table: RouteTable, path: str) -> None:
    assert find(table, path) is None


def test_another_method_is_left_to_fastapi_which_answers_405(table: RouteTable) -> None:
    assert find(table, "/v1/jobs", method="POST") is None


def walk(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    for context in iter_route_contexts(app.router.routes):
        if isinstance(context.original_route, APIRoute) and ":path}" not in context.original_route.path:
            for method in context.methods or ():
                yield method, context.original_route


def match_as_fastapi(app: FastAPI, scope: dict[str, Any]) -> Any:
    """Find the route that FastAPI's own routers would choose."""
    routes = [each for each in iter_route_contexts(app.router.routes) if isinstance(each.original_route, APIRoute)]
    answering = [each for each in routes if scope["method"] in (each.methods or ())]
    return next((each.original_route for each in answering if each.path_regex.match(scope["path"])), None)


def test_every_route_of_the_broker_is_found_as_fastapi_finds_it(routed_app: FastAPI) -> None:
    table = RouteTable(routed_app)
    checked = 0
    for method, route in walk(routed_app):
        path = "/".join("x_1" if part.startswith("{") else part for part in route.path_format.split("/"))
        scope = {"type": "http", "method": method, "path": path, "root_path": ""}
        match, selected = table.matches(scope)
        assert match == Match.FULL, path
        assert selected["route"] is match_as_fastapi(routed_app, scope)
        checked += 1
    assert checked > 100
