"""A handler called by a plan gets, and answers, what it would through FastAPI."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2 as httpx
import pytest
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, Field

from broker.http.body import BodyRequest
from broker.http.direct import DirectHandler, Handler

USUAL = "fastapi"


class Order(BaseModel):
    name: str = Field(min_length=2)
    count: int = 1


class Answer(BaseModel):
    told: dict[str, Any]


async def get_host(request: Request) -> str:
    return request.headers["host"]


Host = Annotated[str, Depends(get_host)]


class DirectRoute(APIRoute):
    """A route that is called by its plan, and says who handled a request."""

    def get_route_handler(self) -> Handler:
        usual = super().get_route_handler()

        async def tell_usual(request: Request) -> Response:
            response = await usual(request)
            response.headers["handled-by"] = USUAL
            return response

        direct = DirectHandler.of(self, tell_usual)
        assert direct is not None

        async def handle(request: Request) -> Response:
            return await direct(BodyRequest(request.scope, request.receive))

        return handle


app = FastAPI()
app.router.route_class = DirectRoute


@app.post("/things/{thing_id}", status_code=201)
async def create(host: Host, thing_id: str, body: Order, note: str = "none", limit: int = 20) -> Answer:
    return Answer(told={"host": host, "thing_id": thing_id, "order": body.model_dump(), "note": note, "limit": limit})


@app.post("/optional")
async def take_perhaps(body: Order | None = None) -> Answer:
    return Answer(told={"order": None if body is None else body.model_dump()})


@app.get("/required")
async def need_query(wanted: Annotated[int, Query(ge=1)]) -> Answer:
    return Answer(told={"wanted": wanted})


@app.get("/own", response_model=Answer)
async def answer_itself(request: Request) -> Response:
    return Response(f'{{"told": {{"path": "{request.url.path}"}}}}', 202, media_type="application/json")


@app.get("/versions/{thing_id}")
async def tell_version(response: Response, thing_id: str) -> Answer:
    response.headers["ETag"] = f'"{thing_id}"'
    return Answer(told={"thing_id": thing_id})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://broker") as client:
        yield client


async def test_a_plain_request_is_handled_by_the_plan(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things/a%20b", json={"name": "ab"})
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    assert "handled-by" not in answer.headers
    told = answer.json()["told"]
    assert told == {
        "host": "broker",
        "thing_id": "a b",
        "order": {"name": "ab", "count": 1},
        "note": "none",
        "limit": 20,
    }


async def test_headers_that_a_handler_adds_go_with_its_answer(client: httpx.AsyncClient) -> None:
    answer = await client.get("/versions/3")
    assert (answer.json(), answer.headers["etag"]) == ({"told": {"thing_id": "3"}}, '"3"')
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "handled-by" not in answer.headers


async def test_an_answer_of_the_handlers_own_is_left_as_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/own")
    assert (answer.status_code, answer.json()) == (202, {"told": {"path": "/own"}})


async def test_a_body_that_may_be_left_out_may(client: httpx.AsyncClient) -> None:
    assert (await client.post("/optional")).json() == {"told": {"order": None}}
    assert (await client.post("/optional", json={"name": "ab"})).json()["told"]["order"]["name"] == "ab"


async def test_a_query_is_read_by_fastapi(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things/x?note=mine&limit=3", json={"name": "ab"})
    assert answer.headers["handled-by"] == USUAL
    assert (answer.json()["told"]["note"], answer.json()["told"]["limit"]) == ("mine", 3)


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"json": {"name": "a"}}, ["body", "name"]),
        ({"json": {"count": 2}}, ["body", "name"]),
        ({"json": None}, ["body"]),
        ({}, ["body"]),
        ({"content": b'{"name": "ab"}', "headers": {"content-type": "text/plain"}}, ["body"]),
    ],
)
async def test_what_is_wrong_is_told_by_fastapi(client: httpx.AsyncClient, sent: dict[str, Any], where: Any) -> None:
    answer = await client.post("/things/x", **sent)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == where


async def test_a_query_that_is_missing_is_told_by_fastapi(client: httpx.AsyncClient) -> None:
    assert (await client.get("/required")).json()["detail"][0]["loc"] == ["query", "wanted"]
    assert (await client.get("/required?wanted=2")).json() == {"told": {"wanted": 2}}


def takes_header(agent: Annotated[str, Header()]) -> Answer:
    return Answer(told={"agent": agent})


def is_blocking(thing_id: str) -> Answer:
    return Answer(told={"thing_id": thing_id})


async def answers_as_it_likes(thing_id: str) -> Any:
    return thing_id


@pytest.mark.parametrize("endpoint", [takes_header, is_blocking])
def test_what_only_fastapi_can_make_is_left_to_it(endpoint: Any) -> None:
    assert DirectHandler.of(APIRoute("/{thing_id}", endpoint), answers_as_it_likes) is None


def test_the_hot_routes_are_called_by_a_plan(routed_app: FastAPI) -> None:
    routes = [context.original_route for context in iter_route_contexts(routed_app.router.routes)]
    planned = {
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, APIRoute) and DirectHandler.of(route, answers_as_it_likes) is not None
        for method in route.methods
    }
    hot = {
        "POST /v1/jobs",
        "POST /v1/quotes",
        "GET /v1/contracts/{contract_id}/balance",
        "GET /v1/jobs",
        "POST /v1/runs/{run_id}/heartbeats",
    }
    assert hot <= planned


def test_no_router_adds_to_its_routes_what_a_plan_would_pass_over(routed_app: FastAPI) -> None:
    """A dependency that is given with a router, to admit nobody else for example, is FastAPI's to call."""
    contexts = [
        each for each in iter_route_contexts(routed_app.router.routes) if isinstance(each.original_route, APIRoute)
    ]
    assert len(contexts) > 100
    for context in contexts:
        route = context.original_route
        assert isinstance(route, APIRoute)
        own = [each.call for each in route.dependant.dependencies]
        assert [each.call for each in context.dependant.dependencies] == own, route.path
        assert isinstance(context.response_class, DefaultPlaceholder) == isinstance(
            route.response_class, DefaultPlaceholder
        ), route.path
