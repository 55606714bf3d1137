"""A small receiver in the form of MLflow's REST API: what it was told, and with which header."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Told:
    """What the receiver was told: paths in their order, authorizations, what log-batch had, the last status."""

    url: str = ""
    status: int = 200
    paths: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    run_status: str | None = None


@contextmanager
def receiving(status: int = 200) -> Iterator[Told]:
    """Run a receiver on loopback, which answers with a status."""
    told = Told(status=status)

    class Receiver(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({}, 404 if told.status == 200 else told.status)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.params |= {each["key"]: each["value"] for each in body.get("params", ())}
            told.metrics += body.get("metrics", ())
            told.run_status = body.get("status", told.run_status)
            self._answer({"experiment_id": "7", "run": {"info": {"run_id": "r1"}}}, told.status)

        def _answer(self, document: dict[str, Any], status: int) -> None:
            told.paths.append(self.path.partition("?")[0].removeprefix("/api/2.0/mlflow/"))
            told.authorizations.add(self.headers["Authorization"])
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_told: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        told.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
