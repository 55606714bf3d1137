"""The HTTP server of one process: it listens where it is told, and ends in order."""

import asyncio
import contextlib
import errno
import gc
import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI

from broker.config import Settings
from broker.failure_log import describe_failure
from broker.http.leaving import Leaving
from broker.persistence.faults import find_fault
from broker.processes.joined_writes import JoiningProtocol

log = logging.getLogger(__name__)

LINGER_SECONDS, LINGER_POLL_SECONDS = 0.5, 0.01
CLOSES = (b"connection", b"close")
YOUNG_OBJECTS = 10_000  # made since the last look of the garbage collector, before it looks again
HURRY_POLL_SECONDS = 0.1
PATIENCE_SECONDS = 0.001  # for each connection
LONGEST_PATIENCE_SECONDS = 0.005


async def do_unless_hurried(work: Coroutine[Any, Any, None], hurry: Coroutine[Any, Any, Any]) -> None:
    """Do something before the end, unless a further signal hurries us. A failure is logged: the end comes anyway."""
    doing, hurrying = asyncio.create_task(work), asyncio.create_task(hurry)
    await asyncio.wait({doing, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    for task in (doing, hurrying):
        task.cancel()
    outcome, _ = await asyncio.gather(doing, hurrying, return_exceptions=True)
    if isinstance(outcome, Exception):
        mistake = outcome if find_fault(outcome) is None else None
        log.error("could not end in order: %s", describe_failure(outcome), exc_info=mistake)


def spare_what_stays() -> None:
    """Tell the garbage collector that all that is there now stays: it would look through it again and again.

    Modules, routes and shapes are some hundred thousand objects; a look at all of them stops every request for as long
    as twenty of them take. What requests leave behind is looked for less often than it would be: most of it is freed at
    once, since it is in no circle, and the looks took a twentieth of a submission.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


class Server(uvicorn.Server):
    """Leaves on a signal, with every request answered that it has taken; a further signal cuts that short.

    It says that it leaves (`/readyz`), and with each answer that its connection ends. `drain` is done meanwhile. Then
    it takes no more connections, waits a moment for requests that are on their way on those that it has, ends streams,
    and waits for what it has begun. The signal is not raised again, as uvicorn does: the embedded database is still to
    be stopped. `on_last_call` is called when no more connections are taken; `ends_listening`: by no other process.
    """

    leaving: Leaving
    leave_seconds = 0.0
    drain: Callable[[], Coroutine[Any, Any, None]] | None = None
    on_last_call: Callable[[], None] | None = None
    ends_listening = False
    is_hurried = False

    @classmethod
    def of(cls, app: FastAPI, settings: Settings) -> Self:
        longest = math.ceil(settings.shutdown_seconds)
        server = cls(
            uvicorn.Config(
                app, http=JoiningProtocol, log_config=None, access_log=False, timeout_graceful_shutdown=longest
            )
        )
        server.leaving, server.leave_seconds = app.state.leaving, settings.leave_seconds
        return server

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (uvicorn's own name)
        self.is_hurried, self.should_exit = self.should_exit, True

    async def main_loop(self) -> None:
        spare_what_stays()
        await super().main_loop()
        log.info("leaving: what was begun is answered")
        self.leaving.announce()
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSES]
        await do_unless_hurried(self._drain(), self._wait_for_hurry())

    async def _drain(self) -> None:
        """Do what is to be done before the end, and go on for as long as a load balancer needs to notice."""
        noticed = asyncio.create_task(asyncio.sleep(self.leave_seconds))
        try:
            if self.drain is not None:
                await self.drain()
            await noticed
        finally:
            noticed.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.on_last_call is not None:
            self.on_last_call()
        await asyncio.sleep(LINGER_POLL_SECONDS)  # those who have connected by now are taken
        for server in self.servers:
            server.close()
        self.leaving.end_streams()
        await self._linger()
        cutting = asyncio.create_task(self._cut_when_hurried())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_when_hurried(self) -> None:
        await self._wait_for_hurry()
        for task in self.server_state.tasks:
            task.cancel()

    async def _linger(self) -> None:
        """Wait a moment for what clients have sent and we have not read: each answer ends its connection."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + LINGER_SECONDS
        while self.server_state.connections and loop.time() < ends_at and not self.is_hurried:  # noqa: ASYNC110
            await asyncio.sleep(LINGER_POLL_SECONDS)

    async def _wait_for_hurry(self) -> None:
        while not self.is_hurried:  # noqa: ASYNC110 (a signal handler sets it, as uvicorn's own does)
            await asyncio.sleep(HURRY_POLL_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)


class SharingServer(Server):
    """One of several processes on one socket.

    The more connections a process has, the longer it leaves the next to the others, and then takes no more than it has.
    So all get their share. uvicorn itself takes whatever waits: one process would get all clients that come together.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self.accepting = [asyncio.create_task(self._accept(listener)) for listener in sockets or []]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self.accepting:
            task.cancel()
        await asyncio.gather(*self.accepting, return_exceptions=True)
        for listener in sockets or [] if self.ends_listening else []:
            while await self._accept_one(listener):
                pass
            listener.shutdown(socket.SHUT_RD)  # for all processes: who connects now is refused, not left waiting
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        listener.listen(self.config.backlog)
        listener.setblocking(False)
        while True:
            await _wait_until_readable(listener)
            count = len(self.server_state.connections)
            await asyncio.sleep(min(PATIENCE_SECONDS * count, LONGEST_PATIENCE_SECONDS))
            for _ in range(max(count, 1)):
                if not await self._accept_one(listener):
                    break

    async def _accept_one(self, listener: socket.socket) -> bool:
        """Accept one connection; False where none is left."""
        try:
            connection, _address = listener.accept()
            await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, connection)
        except (BlockingIOError, ConnectionError):
            return False  # another process took it, or the client is gone again
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise  # the socket listens no more: all processes leave
            log.exception("a connection could not be taken; trying again")
            await asyncio.sleep(1)
        return True

    def _make_protocol(self) -> asyncio.Protocol:
        """Make the protocol of a connection, as uvicorn's own `startup` does."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


async def _wait_until_readable(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(listener, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listener)


def open_listener(host: str, port: int) -> socket.socket:
    """Take the port before anything is started; connections are refused until the server listens.

    Raises: SystemExit, with one line for the operator.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # without it asyncio leaves Nagle's delay
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SystemExit(f"broker: cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
    return listener
