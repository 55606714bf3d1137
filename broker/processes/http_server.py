"""The HTTP server of one process: it listens where it is told, and ends in order."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 5
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
        log.error("could not end in order", exc_info=outcome)


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
    """Ends on a signal, and does not raise it again as uvicorn does: the embedded database is still to be stopped.

    `drain` is done first, while requests are still answered; a further signal cuts it short.
    """

    drain: Callable[[], Coroutine[Any, Any, None]] | None = None
    is_hurried = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.is_hurried = self.should_exit
        super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        spare_what_stays()
        await super().main_loop()
        if self.drain is not None:
            await do_unless_hurried(self.drain(), self._wait_for_hurry())

    async def _wait_for_hurry(self) -> None:
        while not self.is_hurried:  # noqa: ASYNC110 (a signal handler sets it, as uvicorn's own does)
            await asyncio.sleep(HURRY_POLL_SECONDS)

    @classmethod
    def of(cls, app: FastAPI) -> Self:
        return cls(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS))

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
        except OSError:
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
