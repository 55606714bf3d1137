"""The edge: the commit comes before the answer, an error leaves nothing, and nobody is read before they are known."""

import asyncio
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import make_url

from broker.http.edge import TransactionalRoute
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import Api, make_customer
from tests.broker.rows import owner_connection, read_everything

FAILING_COMMIT = """
    CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the commit fails'; END $$;
    CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON customers
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_row();
"""


async def test_commit_that_fails_is_an_error_and_no_201(api: Api, urls: DatabaseUrls) -> None:
    """The row was inserted without complaint: only the commit refuses it."""
    with owner_connection(urls) as connection:
        connection.execute(FAILING_COMMIT)
    before = read_everything(urls)
    response = await api.call("POST", "/customers", json={"name": "Acme"}, headers={"Idempotency-Key": "a"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "nothing was written" in response.json()["detail"]
    assert "the commit fails" not in response.text, "what went wrong inside is for the log"
    assert read_everything(urls) == before


async def test_row_is_committed_when_the_first_byte_of_the_answer_is_sent(
    api: Api, app: FastAPI, urls: DatabaseUrls
) -> None:
    seen: list[int] = []

    async def watch(message: Any) -> None:
        with owner_connection(urls) as connection:
            row = connection.execute("SELECT count(*) AS n FROM customers").fetchone()
            assert row is not None
            seen.append(int(str(row["n"])))

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"name": "Acme"}', "more_body": False}

    headers = [(b"authorization", api.http.headers["authorization"].encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/customers",
        "raw_path": b"/v1/customers",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("broker", 80),
        "client": ("test", 1),
    }
    await app(scope, receive, watch)
    assert seen == [1, 1], "one row at the start of the response and one at its body"


async def test_error_after_a_write_leaves_nothing(api: Api, urls: DatabaseUrls) -> None:
    """The customer's row goes in, then its name turns out to be taken."""
    await make_customer(api, "Acme")
    before = read_everything(urls)
    problem = await api.post("/customers", {"name": "Acme"}, expect=409)
    assert problem["errors"][0]["field"] == "name"
    assert read_everything(urls) == before


@pytest.mark.parametrize("key", ["", "Bearer lbk_00000000_unknown"])
@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": ""}', b'{"name": "\\u0000"}', b"x" * 9_000_000])
async def test_without_a_key_nothing_is_said_about_the_body(api: Api, key: str, body: bytes) -> None:
    headers = {"Authorization": key, "Content-Type": "application/json", "Idempotency-Key": "a" * 300}
    response = await api.http.post("/v1/customers", content=body, headers=headers)
    assert (response.status_code, response.json()["type"]) == (401, "/problems/unauthenticated")


async def test_without_a_key_the_body_is_not_even_read(app: FastAPI) -> None:
    async def endless() -> Any:
        pytest.fail("the body was read")
        yield b""

    async with Api.connect(app, "lbk_00000000_unknown") as stranger:
        response = await stranger.call("POST", "/datasets", content=endless())
    assert response.status_code == 401


async def test_role_is_checked_before_the_body_is_validated(api: Api) -> None:
    made = await api.post("/api-keys", {"name": "ops", "role": "ops"}, expect=201)
    async with Api.connect(api.app, made["key"]) as ops:
        problem = await ops.post("/customers", {"name": 1}, expect=403)
    assert "admin, finance" in problem["detail"]


async def test_slow_body_holds_no_database_connection(api: Api, system: System) -> None:
    """A past fault: twenty slow uploads kept everybody else out."""
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slowly() -> Any:
        yield b'{"name": '
        arrived.set()
        await release.wait()
        yield b'"Slow"}'

    headers = {"Content-Type": "application/json"}
    upload = asyncio.create_task(api.call("POST", "/customers", content=slowly(), headers=headers))
    await asyncio.wait_for(arrived.wait(), 10)
    assert system.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    release.set()
    assert (await upload).status_code == 201


def test_every_route_under_v1_is_transactional(app: FastAPI) -> None:
    routes = [route for route in walk_routes(app) if getattr(route, "path", "").startswith("/v1")]
    assert len(routes) > 40
    assert [route for route in routes if not isinstance(route, TransactionalRoute)] == []


def walk_routes(app: Any) -> list[Any]:
    found = []
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        found += walk_routes(inner) if inner is not None else [route]
    return found


async def test_a_database_that_is_away_is_a_503_to_try_again(
    api: Api, server: EmbeddedServer, urls: DatabaseUrls
) -> None:
    name = make_url(urls.app).database
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        response = await api.call("GET", "/customers", expect=503)
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    assert response.headers["Retry-After"] == "1"
    assert response.json()["type"] == "/problems/database-away"
    await api.get("/customers")
