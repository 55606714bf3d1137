"""Servers in the form of W&B's and SwanLab's own, as far as their packages ask: how the runs that they were told ended.

Their own servers come as images alone. What is answered here is what wandb 0.31.0 and swanlab 0.10.3 need to go on.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

FILES = "createRunFiles"


@dataclass
class Told:
    """What a server was told: by each run's name the codes or words of its end, its losses by step, and the keys."""

    url: str = ""
    names: dict[str, str] = field(default_factory=dict)
    projects: set[str] = field(default_factory=set)
    ends: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, dict[int, float]] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    authorizations: set[str] = field(default_factory=set)

    def add_loss(self, run: str, step: int, loss: float) -> None:
        self.losses.setdefault(self.names[run], {})[step] = loss


class Handler(BaseHTTPRequestHandler):
    """Reads a body, however it is packed, and answers with JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or a body waits 40 ms for the client to acknowledge its head
    told: Told

    def ask(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        packed = self.headers.get("Content-Encoding")
        body = gzip.decompress(body) if packed == "gzip" else zlib.decompress(body) if packed == "deflate" else body
        if "Authorization" in self.headers:
            self.told.authorizations.add(self.headers["Authorization"])
        status, document = self.answer(self.path.partition("?")[0], body)
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = ask  # noqa: N815 (the standard library's names)

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        raise NotImplementedError

    def log_message(self, *args: object) -> None:
        pass


class Wandb(Handler):
    """GraphQL for the run and its files, a stream of what it logs, whose last part has the exit code."""

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/graphql":
            asked = json.loads(body)
            return 200, {"data": self.resolve(asked["query"], asked.get("variables") or {})}
        if path.endswith("/file_stream"):
            self.take(path.split("/")[-2], json.loads(body))
        return 200, {}

    def resolve(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            run = given["name"]
            self.told.names.setdefault(run, given["displayName"] or run)
            self.told.projects.add(given["project"])
            project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "acme"}}
            bucket = {"id": "r", "name": run, "displayName": self.told.names[run], "project": project, "config": "{}"}
            return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}
        if FILES in query:
            files = [{"name": name, "uploadUrl": f"{self.told.url}/upload/{name}"} for name in given["files"]]
            return {FILES: {"runID": "r", "uploadHeaders": [], "files": files}}
        return {"viewer": {"id": "v", "entity": "acme", "username": "ann"}, "serverInfo": {"features": []}}

    def take(self, run: str, sent: dict[str, Any]) -> None:
        files = sent.get("files") or {}
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            row = json.loads(line)
            if "train/loss" in row:
                self.told.add_loss(run, row["_step"], row["train/loss"])
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.told.summaries[self.told.names[run]] = json.loads(line)
        if sent.get("complete"):
            self.told.ends[self.told.names[run]] = sent["exitcode"]


class Swanlab(Handler):
    """A login by key, a project, experiments, their numbers, and the state in which one is left."""

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        person = {"name": "Ann", "username": "ann"}
        if path == "/api/login/api_key":
            return 200, {"sid": "s", "expiredAt": "2099-01-01T00:00:00.000Z", "userInfo": person}
        if self.command == "GET":
            name = path.rpartition("/")[2]
            self.told.projects.add(name)
            group = {**person, "type": "PERSON", "status": "ENABLED"}
            own = {"cuid": "p", "name": name, "path": f"/ann/{name}", "visibility": "PRIVATE", "group": group}
            return 200, {**own, "_count": {"experiments": 0, "contributors": 1}}
        sent = json.loads(body)
        if path.endswith("/experiment"):
            run = f"e{len(self.told.names)}"
            self.told.names[run] = sent["name"]
            return 201, {"cuid": run, "slug": run, "name": sent["name"], "createdAt": sent["createdAt"]}
        if path.endswith("/state"):
            self.told.ends[self.told.names[path.split("/")[-2]]] = sent["state"]
        if path.endswith("/metrics"):
            for each in sent["metrics"]:
                if each.get("key") == "train/loss":
                    self.told.add_loss(sent["experimentId"], each["index"], each["data"])
        return 200, {}


@contextmanager
def serving(kind: type[Handler]) -> Iterator[Told]:
    """Run a server on loopback, and tell what it is told."""
    told = Told()
    handler = type(kind.__name__, (kind,), {"told": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
