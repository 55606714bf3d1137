"""A small broker on a loopback port: the protocol of docs/worker-protocol.md, and the faults of a real broker."""

import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trainer.protocol.client import BrokerClient, RunEnvironment

TOKEN, FENCE = "run-token", 3


class FakeBroker:
    """Answers for any run. What the protocol forbids is kept in `violations`, and fails the test at its end."""

    def __init__(self, dataset: bytes) -> None:
        self.dataset, self.config = dataset, {}
        self.run_id, self.fence, self.gpus = "run_1", FENCE, 1
        self.checkpoint: tuple[int, bytes] | None = None
        self.checkpoints: dict[int, bytes] = {}
        self.adapter: bytes | None = None
        self.captions: bytes | None = None
        self.report: bytes | None = None
        self.events: dict[int, dict[str, Any]] = {}
        self.heartbeats: list[dict[str, Any]] = []
        self.validations: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.finishes: list[dict[str, Any]] = []
        self.log: dict[int, str] = {}
        self.requests: list[str] = []
        self.chunks: dict[str, bytes] = {}
        self.violations: list[str] = []
        self.away_for: set[str] = set()  # names of requests that get no answer at all
        self.failing_for: set[str] = set()  # names of requests that get 503
        self.lose_next_answer = False  # handle the next request, then drop the connection
        self.stop_reason: str | None = None
        self.quarantined: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        broker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or a body waits 40 ms for the client to acknowledge its head

            def do_GET(self) -> None:
                broker.handle(self)

            def do_POST(self) -> None:
                broker.handle(self)

            def do_PUT(self) -> None:
                broker.handle(self)

            def log_message(self, *_: object) -> None:
                """Keep quiet: the test output is for the tests."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def wait_for(self, condition: Any, timeout: float = 60) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout), "the worker did not get there in time"

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        name = request.path.removeprefix(f"/v1/runs/{self.run_id}/")
        kind = name.split("/")[0]
        with self.changed:
            self.requests.append(f"{request.command} {name}")
            if kind in self.away_for:
                request.close_connection = True
                return
            status, answer = (503, b"{}") if kind in self.failing_for else self.answer(request, kind, name, body)
            self.changed.notify_all()
            if self.lose_next_answer:
                self.lose_next_answer = False
                request.close_connection = True
                return
        request.send_response(status)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def answer(self, request: BaseHTTPRequestHandler, kind: str, name: str, body: bytes) -> tuple[int, bytes]:
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, b"{}"
        if kind == "chunks" and request.command == "GET":
            return 200, json.dumps({"received_bytes": len(self.chunks.get(name, b""))}).encode()
        if request.command == "GET":
            return 200, self.dataset if name == "dataset" else self.checkpoint[1]
        if request.command == "PUT":
            return self.store(request, name, body)
        said = json.loads(body)
        if said["fence_token"] != self.fence:
            return stale()
        return getattr(self, f"on_{kind}")(said)

    def store(self, request: BaseHTTPRequestHandler, name: str, body: bytes) -> tuple[int, bytes]:
        if request.headers["X-Fence-Token"] != str(self.fence):
            return stale()
        name, _, query = name.partition("?")
        if name.startswith("chunks/"):
            kept = self.chunks.get(name, b"")
            self.check(query == f"offset={len(kept)}", f"offset of {name}")
            self.chunks[name] = kept + body
            return 200, b"{}"
        if query:
            body = self.chunks.pop(f"chunks/{request.headers['X-Content-SHA256']}")
        self.check(hashlib.sha256(body).hexdigest() == request.headers["X-Content-SHA256"], f"checksum of {name}")
        self.check(request.headers["Content-Type"] == "application/octet-stream", f"content type of {name}")
        if name == "adapter":
            self.adapter = body
        elif name == "captions":
            self.captions = body
        elif name == "report":
            self.report = body
        else:
            self.checkpoint = (int(name.removeprefix("checkpoints/")), body)
            self.checkpoints[self.checkpoint[0]] = body
        return 201, b"{}"

    def on_claim(self, _said: dict[str, Any]) -> tuple[int, bytes]:
        prefix = f"/v1/runs/{self.run_id}"
        step, content = self.checkpoint or (0, b"")
        assignment = {
            "object": "run_assignment",
            "run_id": self.run_id,
            "job_id": "job_1",
            "attempt": 1,
            "gpus": self.gpus,
            "config": self.config,
            "heartbeat_seconds": 0.05,
            "dataset": describe_file(f"{prefix}/dataset", self.dataset),
            "checkpoint": {"step": step, **describe_file(f"{prefix}/checkpoint", content)} if self.checkpoint else None,
            "next_sequence": len(self.events),
            "next_log_number": len(self.log),
            "now": "2031-05-06T07:08:09Z",
        }
        return 200, json.dumps(assignment).encode()

    def on_heartbeats(self, said: dict[str, Any]) -> tuple[int, bytes]:
        self.check(not self.finishes, "a heartbeat after finish")
        self.heartbeats.append(said)
        self.take_usage(said["usage"])
        self.take_observations(said)
        acknowledged = next(number for number in range(10_000) if number not in self.events) - 1
        reply = {"command": "continue", "reason": None, "acknowledged_sequence": acknowledged}
        reply |= {"quarantined": self.quarantined}
        reply |= {"cost_so_far": {"amount": "1.30", "currency": "CNY"}}
        if self.stop_reason is not None:
            reply |= {"command": "stop", "reason": self.stop_reason}
        return 200, json.dumps(reply).encode()

    def on_logs(self, said: dict[str, Any]) -> tuple[int, bytes]:
        self.check(0 < len(said["lines"]) <= 200, "lines of a batch")
        for line in said["lines"]:
            self.check(self.log.get(line["number"], line["text"]) == line["text"], "a line changed")
            self.log[line["number"]] = line["text"]
        return 200, b"{}"

    def on_finish(self, said: dict[str, Any]) -> tuple[int, bytes]:
        self.check(said["outcome"] in {"succeeded", "failed", "stopped", "preempted"}, "outcome of finish")
        self.take_usage(said["usage"])
        self.take_observations(said)
        self.finishes.append(said)
        return 200, b"{}"

    def take_usage(self, usage: list[dict[str, Any]]) -> None:
        for event in usage:
            data = event["data"]
            sequence = data["sequence"]
            self.check(event["id"] == f"{self.run_id}/{sequence}" and event["subject"] == self.run_id, "event id")
            self.check(event["type"] == "lora.usage.interval" and event["specversion"] == "1.0", "event type")
            self.check(bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"])), "event time")
            self.check(isinstance(data["gpu_seconds"], int) and isinstance(data["tokens"], int), "whole numbers")
            self.check(self.events.get(sequence, event) == event, f"event {sequence} changed between two deliveries")
            self.events[sequence] = event
        self.check(sorted(self.events) == list(range(len(self.events))), f"gap in {sorted(self.events)}")

    def take_observations(self, said: dict[str, Any]) -> None:
        """Each observation once, however often it is told."""
        for kept, told in ((self.validations, said.get("validations", [])), (self.samples, said.get("samples", []))):
            kept += [observation for observation in told if observation not in kept]

    def check(self, held: bool, what: str) -> None:
        if not held:
            self.violations.append(what)

    def total(self, meter: str) -> int:
        return sum(event["data"][meter] for event in self.events.values())


def stale() -> tuple[int, bytes]:
    problem = {"type": "https://example.invalid/problems/stale-fence-token", "title": "stale", "status": 409}
    return 409, json.dumps(problem).encode()


def describe_file(url: str, content: bytes) -> dict[str, Any]:
    return {"url": url, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


@pytest.fixture
def broker(tiny_dataset: Path) -> Iterator[FakeBroker]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(tiny_dataset / "rows.jsonl", "rows.jsonl")
    fake = FakeBroker(packed.getvalue())
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    assert fake.violations == []


@pytest.fixture
def environment(broker: FakeBroker, tmp_path: Path) -> RunEnvironment:
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    return RunEnvironment(broker.url, broker.run_id, TOKEN, FENCE, work_dir)


@pytest.fixture
def client(environment: RunEnvironment) -> Iterator[BrokerClient]:
    made = BrokerClient(environment)
    yield made
    made.close()
