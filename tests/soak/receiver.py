"""A customer's receiver of webhooks as a process that can be killed: it writes down what it takes before it answers.

    python -m tests.soak.receiver FOLDER PORT

The secrets stand in `FOLDER/secrets.json`, by the last part of the address. What fails its signature is answered 400,
and stands in the journal as forged; one request in twenty is answered 503, and one in fifty never, until it is killed.
"""

import hashlib
import json
import os
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

HANGS_SECONDS = 30


class Receiving(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a body waits 40 ms for the sender to acknowledge its head
    folder: Path
    rng = random.Random()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # its sender was killed in the midst of it
            self.close_connection = True
            return
        chance = self.rng.random()
        if chance < 0.02:
            time.sleep(HANGS_SECONDS)
        if chance < 0.07:
            self.answer(503)
            return
        self.answer(204 if self.take(body) else 400)

    def take(self, body: bytes) -> bool:
        """Write down what came; tells whether it is signed as the endpoint's secret signs."""
        secrets = json.loads((self.folder / "secrets.json").read_text())
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            Webhook(secrets[self.path.rpartition("/")[2]]).verify(body, headers)
        except (WebhookVerificationError, KeyError) as error:
            told = {name: headers.get(name) for name in ("webhook-timestamp", "content-length", "transfer-encoding")}
            self.note({"forged": headers.get("webhook-id"), "path": self.path, "why": repr(error), **told})
            return False
        self.note({"id": headers["webhook-id"], "sha256": hashlib.sha256(body).hexdigest(), "path": self.path})
        return True

    def note(self, entry: dict[str, Any]) -> None:
        """Append a line in one write: the file has it whole, whenever the process dies."""
        journal = os.open(self.folder / "received.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(journal, (json.dumps(entry) + "\n").encode())
        os.close(journal)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Say nothing: what came stands in the journal."""


def main(folder: str, port: str) -> None:
    own = type("OwnReceiving", (Receiving,), {"folder": Path(folder)})
    ThreadingHTTPServer(("127.0.0.1", int(port)), own).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
