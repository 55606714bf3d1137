"""The HTTP server of `trainer serve`: uvicorn in a thread of its own, so that the end waits, but not for ever."""

import socket
import threading
from typing import TYPE_CHECKING, Self

import uvicorn

from trainer.serving.application import SILENCE_SECONDS, build_application
from trainer.serving.host import ModelHost
from trainer.serving.taking import AdapterTaker
from trainer.serving.text import TextServer

if TYPE_CHECKING:
    from trainer.serving.images import ImageServer  # brings diffusers, which text does without

LEAVE_SECONDS = 1.0


class AdapterServer:
    """Holds the model, and answers as long as its `with` block lasts."""

    def __init__(
        self,
        address: tuple[str, int],
        host: ModelHost,
        model: "TextServer | ImageServer",
        taker: AdapterTaker | None = None,
        names: frozenset[str] | None = None,
    ) -> None:
        """Listen. Raises: OSError, if the address cannot be had."""
        self.host, self.model = host, model
        self._listening = socket.create_server(address)
        self.port = int(self._listening.getsockname()[1])
        config = uvicorn.Config(
            build_application(host, model, taker, names),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=SILENCE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._ended = threading.Event()
        # Threads that compute are as this one, which starts them: a picture half drawn does not hold up the end.
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the connections that are left."""
        self._server.should_exit = self._server.force_exit = True
        self._ended.wait(LEAVE_SECONDS)

    def wait(self) -> None:
        """Wait until the server has ended; a signal handler that raises breaks in."""
        self._ended.wait()

    def finish_answers(self, timeout_seconds: float) -> None:
        """Take no more connections, and wait for the answers in hand."""
        self._server.should_exit = True
        self._ended.wait(timeout_seconds)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._ended.set()
