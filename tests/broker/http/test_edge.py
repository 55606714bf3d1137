"""The edge: the commit comes before the answer, an error leaves nothing, and nobody is read before they are known."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

import httpx2 as httpx
import psycopg
import pytest
from fastapi import FastAPI, Request, UploadFile
from sqlalchemy import make_url
from starlette.routing import Match

from broker.app import create_app
from broker.config import Settings
from broker.http.edge import TransactionalRoute, feature_router
from broker.persistence.embedded import EmbeddedServer
from broker.persistence.folder_storage import FolderStorage
from broker.persistence.storage import StoredObject
from broker.processes.boot import DatabaseUrls
from broker.system import System
from broker.work import Work
from tests.broker.factories import Api, jsonl, make_customer, make_ready_customer, submit_job
from tests.broker.rows import owner_connection, read_everything
from tests.broker.worker_calls import dispatched_worker

FAILING_COMMIT = """
    CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the commit fails'; END $$;
    CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON customers
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_row();
"""


def ask_scope(api: Api, method: str, path: str) -> dict[str, Any]:
    """Write the ASGI scope of a request with a JSON body."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"authorization", api.http.headers["authorization"].encode()),
            (b"content-type", b"application/json"),
        ],
        "server": ("broker", 80),
        "client": ("test", 1),
    }


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

    await app(ask_scope(api, "POST", "/v1/customers"), receive, watch)
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


async def test_without_a_key_no_body_is_read_before_the_answer(app: FastAPI, no_lingering: None) -> None:
    """What is on its way is thrown away afterwards (`lingering.py`)."""

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


async def test_client_that_hangs_up_is_no_error_and_leaves_nothing(
    api: Api, app: FastAPI, urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    """A past fault: it was an unexpected error with its traceback."""
    before, answered = read_everything(urls), []
    messages = iter(
        [{"type": "http.request", "body": b'{"name": ', "more_body": True}, {"type": "http.disconnect"}],
    )

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answered.append(message)

    await app(ask_scope(api, "POST", "/v1/customers"), receive, send)
    assert answered[0]["status"] == 499
    assert [record.getMessage() for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []
    assert read_everything(urls) == before


async def test_object_of_a_request_that_comes_to_nothing_is_deleted_again(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    customer = await make_customer(api)
    with owner_connection(urls) as connection:
        connection.execute(FAILING_COMMIT.replace("customers", "datasets"))
    await api.call(
        "POST", "/datasets", files={"files": ("a.jsonl", jsonl())}, data={"customer_id": customer["id"]}, expect=500
    )
    assert list(system.services.settings.data_dir.rglob("*.tar")) == []


async def test_slow_work_that_was_answered_before_is_not_done_again(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    """Of twins that come at once one is kept: the other's file goes, and both get one answer."""
    customer = await make_customer(api)

    async def upload() -> httpx.Response:
        options = {"files": {"files": ("a.jsonl", jsonl())}, "data": {"customer_id": customer["id"]}}
        return await api.call("POST", "/datasets", expect=201, headers={"Idempotency-Key": "once"}, **options)

    twins = await asyncio.gather(upload(), upload(), upload())
    later = await upload()
    assert later.headers["Idempotency-Replayed"] == "true"
    assert {answer.json()["id"] for answer in (*twins, later)} == {later.json()["id"]}
    kept = list(system.services.settings.data_dir.rglob("*.tar"))
    assert [path.stem for path in kept] == [later.json()["id"]]
    with owner_connection(urls) as connection:
        assert [row["id"] for row in connection.execute("SELECT id FROM datasets")] == [later.json()["id"]]


@dataclass(frozen=True)
class WatchedStorage(FolderStorage):
    """A folder that notes how many connections are in use whenever something is written to it."""

    system: System
    used: list[int] = field(default_factory=list)

    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        self.used.append(self.system.database.engine.pool.checkedout())  # type: ignore[attr-defined]
        return await super().write(key, chunks, max_bytes=max_bytes)

    async def adopt(self, key: str, path: Path) -> None:
        self.used.append(self.system.database.engine.pool.checkedout())  # type: ignore[attr-defined]
        await super().adopt(key, path)


async def test_nothing_is_unpacked_or_stored_inside_a_transaction(system: System, settings: Settings) -> None:
    """A past fault: while a zip was unpacked and written, its request held a connection."""
    storage = WatchedStorage(settings.data_dir / "objects", system)
    app = create_app(replace(system, services=replace(system.services, storage=storage)))
    async with Api.connect(app, settings.admin_key_path.read_text().strip()) as api:
        customer = await make_ready_customer(api)
        job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
        async with dispatched_worker(api, app, system, job["id"]) as worker:
            await worker.claim()
            await worker.put("checkpoints/5", b"state")
            await worker.finish("succeeded")
    assert storage.used == [0, 0, 0], "a data set, a checkpoint, an adapter"


def test_route_that_receives_bytes_takes_no_transaction(app: FastAPI) -> None:
    endpoints = [route.endpoint for route in walk_routes(app) if getattr(route, "path", "").startswith("/v1")]
    taken = {endpoint.__name__: get_type_hints(endpoint).values() for endpoint in endpoints}
    receiving = {name for name, kinds in taken.items() if Request in kinds or list[UploadFile] in kinds}
    assert receiving >= {"upload_dataset", "upload_chunk", "upload_checkpoint", "upload_adapter"}
    begun = {name for name in receiving if Work in taken[name]}
    assert begun == set(), "take the Caller, and begin the transaction once the bytes are there"


def test_every_route_under_v1_is_transactional(app: FastAPI) -> None:
    routes = [route for route in walk_routes(app) if getattr(route, "path", "").startswith("/v1")]
    assert len(routes) > 40
    others = [route.path for route in routes if not isinstance(route, TransactionalRoute)]
    assert others == ["/v1/webhooks/stripe"], "it has a signature, no key, and opens its transactions by itself"


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


@pytest.mark.parametrize(
    ("path", "is_compared"),
    [("/v1/runs/run_1/things", True), ("/v1/jobs/run_1/things", False), ("/v2/runs/run_1/things", False)],
)
def test_a_path_is_compared_with_the_routes_of_its_prefix_alone(path: str, is_compared: bool) -> None:
    app, router = FastAPI(), feature_router("/runs/{run_id}", "workers")

    @router.get("/things")
    async def get_things(run_id: str) -> str:
        return run_id

    app.include_router(router)
    (included,) = [route for route in app.routes if getattr(route, "original_router", None) is router]
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    assert (included.matches(scope)[0] == Match.FULL) == is_compared
    behind_a_proxy = {**scope, "path": f"/broker{path}", "root_path": "/broker"}
    assert (included.matches(behind_a_proxy)[0] == Match.FULL) == is_compared
