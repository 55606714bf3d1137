"""The HTTP server: processes on one socket share what comes, no answer waits for Nagle's delay, all leave in order."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import OperationalError

from broker.config import Settings
from broker.http.leaving import Leaving
from broker.processes.http_server import (
    Server,
    SharingServer,
    do_unless_hurried,
    open_listener,
    spare_what_stays,
)

CLIENTS = 8
KINDS = [Server, SharingServer]
AnyServer = TypeVar("AnyServer", bound=Server)


def make_app() -> FastAPI:
    app = FastAPI()
    app.state.leaving = Leaving()
    return app


def make_server(kind: type[AnyServer], app: FastAPI | None = None, **settings: float) -> AnyServer:
    return kind.of(app or make_app(), Settings(local_slots=0, **settings))


@asynccontextmanager
async def serving(listener: socket.socket, *servers: Server) -> AsyncIterator[None]:
    """Each in a task, as if it were a process of its own; without its signal handlers, which the test keeps."""
    tasks = [asyncio.create_task(server._serve(sockets=[listener.dup()])) for server in servers]
    while not all(server.started for server in servers):  # noqa: ASYNC110 (uvicorn tells it in no other way)
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)


@asynccontextmanager
async def clients(listener: socket.socket) -> AsyncIterator[None]:
    """So many that come at once and stay; each has had an answer when the block begins."""
    opened = await asyncio.gather(*(asyncio.open_connection(*listener.getsockname()) for _ in range(CLIENTS)))
    for reader, writer in opened:
        writer.write(b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n")
        assert b"404" in await reader.readline()
    yield
    for _reader, writer in opened:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_processes_on_one_socket_share_the_connections_that_come_at_once() -> None:
    """A past fault: one process took all of them, and the others did nothing."""
    servers = [make_server(SharingServer) for _ in range(2)]
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(listener, *servers), clients(listener):
            shares = [len(server.server_state.connections) for server in servers]
    assert sum(shares) == CLIENTS
    assert min(shares) >= CLIENTS // 4, shares


async def test_answers_are_not_held_back_until_the_client_acknowledges_the_headers() -> None:
    """Asyncio turns Nagle's algorithm off only where the listener names TCP; else each kept connection waits 40 ms."""
    for server in map(make_server, KINDS):
        with open_listener("127.0.0.1", 0) as listener:
            async with serving(listener, server), clients(listener):
                for connection in server.server_state.connections:
                    taken = connection.transport.get_extra_info("socket")
                    assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_process_that_ends_leaves_the_socket_to_the_others() -> None:
    ending, staying = make_server(SharingServer), make_server(SharingServer)
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(listener, staying):
            async with serving(listener, ending):
                pass
            async with clients(listener):
                assert len(staying.server_state.connections) == CLIENTS


@dataclass
class Caller:
    """A client that asks again and again on connections that it keeps, until nobody listens any more.

    `cut` are the requests that were sent and got no whole answer.
    """

    address: tuple[str, int]
    answered: int = 0
    cut: list[str] = field(default_factory=list)

    async def call(self) -> None:
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                await self._keep_asking(*await asyncio.open_connection(*self.address))

    async def _keep_asking(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        goes_on = True
        while goes_on:
            try:
                writer.write(b"GET /slow HTTP/1.1\r\nHost: broker\r\n\r\n")
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert await reader.readexactly(len(b'"done"')) == b'"done"'
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                self.cut.append(repr(error))
                return
            self.answered += 1
            goes_on = b"connection: close" not in head
        writer.close()


def add_slow_route(app: FastAPI) -> FastAPI:
    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.002)
        return "done"

    return app


@pytest.mark.parametrize("kind", KINDS)
async def test_no_request_is_cut_by_a_process_that_leaves_while_clients_keep_asking(kind: type[Server]) -> None:
    """Past faults: connections were closed under requests that were on their way; so were those not taken yet."""
    server = make_server(kind, add_slow_route(make_app()))
    server.ends_listening = True
    with open_listener("127.0.0.1", 0) as listener:
        callers = [Caller(listener.getsockname()) for _ in range(CLIENTS)]
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 (uvicorn tells it in no other way)
            await asyncio.sleep(0.01)
        calling = [asyncio.create_task(caller.call()) for caller in callers]
        while min(caller.answered for caller in callers) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        server.should_exit = True
        await asyncio.gather(serving, *calling)
    assert [cut for caller in callers for cut in caller.cut] == []


@pytest.mark.parametrize("kind", KINDS)
async def test_request_that_was_begun_is_answered_and_streams_end_between_two_pieces(kind: type[Server]) -> None:
    app, may_answer = make_app(), asyncio.Event()

    async def count() -> AsyncIterator[str]:
        yield "piece\n"
        may_answer.set()
        await app.state.leaving.rest(600)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(count())

    @app.get("/slow")
    async def slow() -> str:
        while app.state.leaving.is_announced is False:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return "done"

    server = make_server(kind, app)
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(listener, server):
            answers = [await asyncio.open_connection(*listener.getsockname()) for _ in range(2)]
            for (_reader, writer), path in zip(answers, (b"/slow", b"/stream"), strict=True):
                writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: broker\r\n\r\n")
            await may_answer.wait()
        slow_answer, pieces = [await reader.read() for reader, _writer in answers]
        for _reader, writer in answers:
            writer.close()
    assert slow_answer.endswith(b'"done"')
    assert pieces.endswith(b"piece\n\r\n0\r\n\r\n")


async def test_process_goes_on_answering_for_as_long_as_a_load_balancer_needs_to_notice() -> None:
    server, noticed = make_server(Server, add_slow_route(make_app()), leave_seconds=600), asyncio.Event()

    async def drain() -> None:
        noticed.set()

    server.drain = drain
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(listener, server):
            server.should_exit = True
            await noticed.wait()
            assert server.leaving.is_announced
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET /slow HTTP/1.1\r\nHost: broker\r\n\r\n")
            answer = (await reader.read()).lower()
            writer.close()
            server.handle_exit(signal.SIGTERM, None)  # a further signal: nobody waits any more
    assert b"connection: close" in answer
    assert answer.endswith(b'"done"')


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [(OperationalError(None, None, psycopg.OperationalError("it is away")), False), (KeyError("ours"), True)],
    ids=["database away", "mistake"],
)
async def test_an_end_that_its_database_disturbs_is_told_in_a_line(
    caplog: pytest.LogCaptureFixture, error: Exception, has_traceback: bool
) -> None:
    async def drain() -> None:
        raise error

    await do_unless_hurried(drain(), asyncio.sleep(600))
    (told,) = [record for record in caplog.records if "in order" in record.getMessage()]
    assert bool(told.exc_info) == has_traceback


def test_what_is_there_before_the_first_request_is_never_looked_through_again() -> None:
    try:
        spare_what_stays()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()
