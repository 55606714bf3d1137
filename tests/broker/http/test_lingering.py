"""A client that sends all before it reads gets its answer, on every route that refuses a body before it has come."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from broker.config import Settings
from broker.http.body import MAX_JSON_BYTES
from broker.http.leaving import Leaving
from broker.http.lingering import BOUNDS, Lingering
from broker.processes.http_server import Server, open_listener
from broker.system import System
from tests.broker.factories import Api, Customer, customer_api, make_ready_customer

# More than a socket's buffers hold, so that the client cannot have sent it before the broker answers.
BODY_BYTES = 24 << 20
PIECE = bytes(1 << 16)


@dataclass(frozen=True)
class Asked:
    """A request that is refused while its body is on its way, and how."""

    line: str
    status: int
    headers: tuple[str, ...] = ()
    is_chunked: bool = False


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[tuple[str, int]]:
    """Serve an application that is set up already, as `broker serve` would; yields where."""
    server = Server.of(app, Settings(local_slots=0))
    server.config.lifespan = "off"
    with open_listener("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server._serve(sockets=[listener.dup()]))
        while not server.started:  # noqa: ASYNC110 (uvicorn tells it in no other way)
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            await task


def send_all_then_read(address: tuple[str, int], asked: Asked, key: str, body_bytes: int = BODY_BYTES) -> bytes:
    """Send a whole request by a socket before reading a byte; returns what comes until the connection ends.

    Raises: ConnectionError, where the connection is reset.
    """
    length = "Transfer-Encoding: chunked" if asked.is_chunked else f"Content-Length: {body_bytes}"
    head = [asked.line, "Host: broker", f"Authorization: {key}", "Connection: close", length, *asked.headers]
    with socket.create_connection(address, timeout=60) as client:
        client.sendall("\r\n".join([*head, "", ""]).encode())
        for _piece in range(body_bytes // len(PIECE)):
            client.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if asked.is_chunked else PIECE)
        client.sendall(b"0\r\n\r\n" if asked.is_chunked else b"")
        answer = b""
        while piece := client.recv(1 << 16):
            answer += piece
    return answer


JSON = ("Content-Type: application/json",)
FORM = ("Content-Type: multipart/form-data; boundary=x",)
TUS = ("Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")
REFUSED = {
    "JSON": Asked("POST /v1/customers HTTP/1.1", 413, JSON),
    "JSON in pieces": Asked("POST /v1/quotes HTTP/1.1", 413, JSON, is_chunked=True),
    "an upload": Asked("POST /v1/datasets HTTP/1.1", 413, FORM),
    "a piece of an upload": Asked("PATCH /v1/uploads/{upload} HTTP/1.1", 413, TUS),
    "OpenAI's files": Asked("POST /openai/v1/files HTTP/1.1", 413, FORM),
    "DashScope's files": Asked("POST /dashscope/api/v1/files HTTP/1.1", 413, FORM),
    "a form of the console": Asked("POST /console/sign-in HTTP/1.1", 413, ("Content-Type: text/plain",)),
    "no such route": Asked("POST /v1/nothing HTTP/1.1", 404, JSON),
}


@pytest.fixture
async def customer(api: Api) -> Customer:
    return await make_ready_customer(api)


@pytest.mark.parametrize("name", REFUSED)
async def test_a_client_that_sends_all_before_it_reads_is_told_why_it_is_refused(
    api: Api, app: FastAPI, system: System, customer: Customer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A past fault: the connection was closed on what was still coming, so the kernel reset it, and the answer went."""
    monkeypatch.setattr(system.services.settings, "max_dataset_bytes", MAX_JSON_BYTES)
    async with customer_api(api, customer.id) as own, serving(app) as address:
        opened = await own.call("POST", "/uploads", headers={"Upload-Length": "1000", "Tus-Resumable": "1.0.0"})
        asked = replace(REFUSED[name], line=REFUSED[name].line.format(upload=opened.json()["id"]))
        answer = await asyncio.to_thread(send_all_then_read, address, asked, own.http.headers["Authorization"])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {asked.status} ".encode()), answer[:300]
    assert b"connection: close" in head.lower()
    assert body, "the answer has a body that says why"


def make_refusing(**bounds: float) -> tuple[FastAPI, list[str]]:
    """Make an application that refuses each request before its body, and lists those that are over."""
    app, ended = FastAPI(), list[str]()
    app.state.leaving = Leaving()

    class Noting(Lingering):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await super().__call__(scope, receive, send)
            ended.append(scope["path"])

    app.add_middleware(Noting, bounds=replace(BOUNDS, **bounds))  # type: ignore[arg-type]
    return app, ended


async def open_request(address: tuple[str, int], *headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*address)
    writer.write("\r\n".join(["POST /nothing HTTP/1.1", "Host: broker", *headers, "", ""]).encode())
    return reader, writer


async def test_nobody_lingers_longer_than_a_silence_or_beyond_so_many_bytes() -> None:
    for bounds, sent in [({"silent_seconds": 0.05}, 0), ({"seconds": 0.05}, 0), ({"most_bytes": 1 << 17}, 1 << 20)]:
        app, ended = make_refusing(**bounds)
        async with serving(app) as address:
            reader, writer = await open_request(address, f"Content-Length: {BODY_BYTES}")
            writer.write(bytes(sent))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 404 " in head, "it is answered at once"
            assert b"connection: close" in head.lower(), "who has much left to send loses the connection"
            while not ended:  # noqa: ASYNC110 (its bound ends it, for each of the three by itself)
                await asyncio.sleep(0.01)
            writer.close()


async def test_a_client_that_waits_to_be_told_to_go_on_is_refused_at_once_and_sends_nothing() -> None:
    app, ended = make_refusing(silent_seconds=600)
    async with serving(app) as address:
        reader, writer = await open_request(address, "Content-Length: 9999999", "Expect: 100-continue")
        assert b" 404 " in await reader.readuntil(b"\r\n\r\n")
        while not ended:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.close()


async def test_a_process_that_leaves_waits_for_no_more_of_it() -> None:
    app, ended = make_refusing()
    async with serving(app) as address:
        reader, writer = await open_request(address, f"Content-Length: {BODY_BYTES}")
        await reader.readuntil(b"\r\n\r\n")
        app.state.leaving.end_streams()
        writer.write(PIECE)
        while not ended:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.close()


async def test_a_connection_with_little_left_to_come_is_kept_for_the_next_request() -> None:
    app, _ended = make_refusing()
    async with serving(app) as address:
        reader, writer = await open_request(address, "Content-Length: 3")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"connection: close" not in head.lower()
        writer.write(b"abc")
        await reader.readexactly(len(b'{"detail":"Not Found"}'))
        writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: broker\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()
