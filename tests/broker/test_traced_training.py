"""A real training under a real broker, traced: all that both processes send to a collector is one trace."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from broker.client.rest import Client
from tests.broker.forked_trainer import forked_trainer
from tests.broker.served import ServedBroker, follow_job, make_buyer
from tests.broker.tiny_models import add_tiny

pytestmark = pytest.mark.slow  # a real training: torch alone takes seconds to come up

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONFIG = {"base_model": "tiny-llama", "batch_size": 4, "epochs": 1, "learning_rate": 0.01, "max_length": 64}


@dataclass(frozen=True)
class Span:
    """A span as a collector gets it; ids are hexadecimal."""

    service: str
    name: str
    trace: str
    id: str
    parent: str


class Collector:
    """Keeps in memory what is sent to it by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def keep(self, body: bytes) -> None:
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {each.key: each.value.string_value for each in sent.resource.attributes}
            service = told["service.name"]
            self.spans += [
                Span(service, each.name, each.trace_id.hex(), each.span_id.hex(), each.parent_span_id.hex())
                for scope in sent.scope_spans
                for each in scope.spans
            ]


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """Run a collector for as long as the block lasts; yields it with its address."""
    collector = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.keep(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collector, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def name_parents(spans: list[Span]) -> Mapping[str, str]:
    names = {span.id: span.name for span in spans}
    return {span.name: names.get(span.parent, span.parent) for span in spans}


def test_a_job_is_one_trace_from_http_to_the_last_request_of_its_trainer(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = ServedBroker(server_folder / "var", {"heartbeat_seconds": "0.5", "trainer_command": forked_trainer()})
    with collecting() as (collector, address):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        try:
            broker.start()
            add_tiny(broker, "llama", server_folder / "tiny-llama")
            with Client(broker.url, broker.admin_key()) as client:
                buyer = make_buyer(client, server_folder)
                order = {"config": CONFIG, "dataset_id": buyer.dataset_id, "customer_id": buyer.customer_id}
                told = {"traceparent": f"00-{TRACE}-{SENDER}-01"}
                job = client.http.post("/v1/jobs", json=order, headers=told).raise_for_status().json()
                assert follow_job(client, job["id"])["status"] == "succeeded"
            assert broker.terminate() == 0  # what is left is sent at the end
        finally:
            broker.close()
    ours = [span for span in collector.spans if span.trace == TRACE]
    assert {span.service for span in ours} == {"lora-broker", "lora-trainer"}
    submitted, of_run = "POST /v1/jobs", "/v1/runs/{run_id}"
    expected = {
        submitted: SENDER,
        "wait in queue": submitted,
        "dispatch": submitted,
        "launch": "dispatch",
        "run": "launch",
        "claim": "run",
        f"POST {of_run}/claim": "claim",
        "train": "run",
        "download": "train",
        f"GET {of_run}/dataset": "download",
        "upload adapter": "run",
        f"PUT {of_run}/adapter": "upload adapter",
        "finish": "run",
        f"POST {of_run}/finish": "finish",
    }
    assert expected.items() <= name_parents(ours).items()
    assert {span.name for span in ours} - expected.keys() <= {f"POST {of_run}/logs", "upload checkpoints"}
