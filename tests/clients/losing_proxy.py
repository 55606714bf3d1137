"""A line that loses answers: requests reach the broker, and each first answer to a POST is lost on its way back."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2 as httpx

PASSED_BACK = {"location", "x-together-file-id"}
LEFT_OUT = {"host", "connection", "transfer-encoding", "content-length", "accept-encoding"}


@dataclass
class LosingProxy:
    """Where it listens, and the headers of the POSTs that came."""

    url: str = ""
    posts: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def losing_proxy(target: str) -> Iterator[LosingProxy]:
    """Pass requests on to a broker; every other POST, from the first on, is answered 500 after it was done."""
    proxy = LosingProxy()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = {name: value for name, value in self.headers.items() if name.lower() not in LEFT_OUT}
            answer = httpx.get(f"{target}{self.path}", headers=sent, timeout=60)
            self._answer(answer.status_code, answer.content)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            proxy.posts.append(headers)
            sent = {name: value for name, value in headers.items() if name not in LEFT_OUT}
            answer = httpx.post(f"{target}{self.path}", content=body, headers=sent, timeout=60)
            is_lost = len(proxy.posts) % 2 == 1
            passed = {name: value for name, value in answer.headers.items() if name in PASSED_BACK}
            self._answer(500 if is_lost else answer.status_code, b"" if is_lost else answer.content, passed)

        def _answer(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_told: object) -> None:
            """Tell nothing: the test reads what came."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
