"""The HTTP server: processes on one socket share what comes, and no answer waits for Nagle's delay."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from broker.processes.http_server import Server, SharingServer, open_listener, spare_what_stays

CLIENTS = 8


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
    servers = [SharingServer.of(FastAPI()) for _ in range(2)]
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(listener, *servers), clients(listener):
            shares = [len(server.server_state.connections) for server in servers]
    assert sum(shares) == CLIENTS
    assert min(shares) >= CLIENTS // 4, shares


async def test_answers_are_not_held_back_until_the_client_acknowledges_the_headers() -> None:
    """Asyncio turns Nagle's algorithm off only where the listener names TCP; else each kept connection waits 40 ms."""
    for server in (Server.of(FastAPI()), SharingServer.of(FastAPI())):
        with open_listener("127.0.0.1", 0) as listener:
            async with serving(listener, server), clients(listener):
                for connection in server.server_state.connections:
                    taken = connection.transport.get_extra_info("socket")
                    assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_process_that_ends_leaves_the_socket_to_the_others() -> None:
    ending, staying = SharingServer.of(FastAPI()), SharingServer.of(FastAPI())
    with open_listener("127.0.0.1", 0) as listener:
        async with serving(listener, staying):
            async with serving(listener, ending):
                pass
            async with clients(listener):
                assert len(staying.server_state.connections) == CLIENTS


def test_what_is_there_before_the_first_request_is_never_looked_through_again() -> None:
    try:
        spare_what_stays()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()
