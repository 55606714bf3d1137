"""A server that answers what a test has written down, and fails as lines and brokers do."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

# A status, a body, and headers of this answer alone; None: it hangs up.
Answer = tuple[int, bytes] | tuple[int, bytes, dict[str, str]] | None


class Script:
    """What the server answers, one after the other, and what it was sent: keys with bodies, and all headers."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[tuple[str | None, bytes]] = []
        self.asked: list[dict[str, str]] = []
        self.headers: dict[str, str] = {}


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.seen.append((self.headers.get("Idempotency-Key"), body))
            script.asked.append({"path": self.path, **{name.title(): value for name, value in self.headers.items()}})
            answer = script.answers.pop(0)
            if answer is None:
                return
            status, content, *own = answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **script.headers, **dict(*own)}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 (the standard library's names)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
