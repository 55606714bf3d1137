"""Traces by OpenTelemetry: one for all that a submission leads to, and nothing where nobody asks for any."""

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.middleware import Middleware

from broker import traces
from broker.http.access import AccessLog
from broker.http.traced import TracedRequests
from broker.system import System
from tests.broker.conftest import create_routed_app
from tests.broker.factories import CONFIG, Api, dispatch, make_ready_customer, submit_job
from tests.broker.worker_calls import PaperEngine, make_agent, worker_api

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENDER = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Trace into memory for as long as the test lasts."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with traces.tracing_by(provider):
        yield exporter


@pytest.fixture
def traced_app(spans: InMemorySpanExporter, system: System, routed_app: FastAPI) -> FastAPI:
    """Make an application as one is made while traces are on (`broker/app.py`), of routes that were made before."""
    app = create_routed_app(system, routed_app)
    lingering, access, *inner = app.user_middleware
    assert access.cls is AccessLog
    app.user_middleware = [lingering, access, Middleware(TracedRequests), *inner]
    return app


@pytest.fixture
async def traced_api(traced_app: FastAPI, system: System) -> AsyncIterator[Api]:
    async with Api.connect(traced_app, system.services.settings.admin_key_path.read_text().strip()) as api:
        yield api


def trace_of(span: ReadableSpan) -> str:
    return format(span.context.trace_id, "032x")


def tell_parents(spans: list[ReadableSpan]) -> Mapping[str, str | None]:
    """Tell of each span, by its name, the name of the one that it stands below."""
    names = {span.context.span_id: span.name for span in spans}
    return {span.name: None if span.parent is None else names.get(span.parent.span_id) for span in spans}


async def test_a_job_is_one_trace_from_its_submission_to_the_process_that_trains(
    traced_api: Api, traced_app: FastAPI, system: System, spans: InMemorySpanExporter
) -> None:
    customer = await make_ready_customer(traced_api)
    spans.clear()
    body = {"config": CONFIG, "dataset_id": customer.dataset["id"], "customer_id": customer.id}
    await traced_api.call("POST", "/jobs", json=body, headers={"traceparent": SENDER}, expect=201)
    await dispatch(system, gpus=1)
    engine = PaperEngine()
    await make_agent(system, engine).relay()
    (spec,) = engine.launched
    assert spec.traceparent is not None
    claiming = {"headers": {"traceparent": spec.trace_environment["TRACEPARENT"]}, "json": {"fence_token": 1}}
    async with worker_api(traced_app, system, spec.run_id) as worker:
        await worker.call("POST", f"/runs/{spec.run_id}/claim", expect=200, **claiming)
    ours = [span for span in spans.get_finished_spans() if trace_of(span) == TRACE]
    submit = "POST /v1/jobs"
    assert tell_parents(ours) == {
        submit: None,
        "wait in queue": submit,
        "dispatch": submit,
        "launch": "dispatch",
        "POST /v1/runs/{run_id}/claim": "launch",
    }


async def test_spans_tell_ids_and_numbers_and_no_header_parameter_or_body(
    traced_api: Api, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    await traced_api.call("POST", "/customers", json={"name": "Canary Tea"}, headers={"Cookie": "canary"})
    await traced_api.call("GET", "/jobs", params={"search": "canary"})
    await traced_api.call("GET", "/jobs/job_x", expect=404)
    told = [(span.name, dict(span.attributes or {})) for span in spans.get_finished_spans()]
    assert [name for name, _attributes in told] == ["POST /v1/customers", "GET /v1/jobs", "GET /v1/jobs/{job_id}"]
    assert told[-1][1] == {
        "http.request.method": "GET",
        "url.path": "/v1/jobs/job_x",
        "http.route": "/v1/jobs/{job_id}",
        "http.response.status_code": 404,
    }
    assert "canary" not in str([told, [span.events for span in spans.get_finished_spans()]]).lower()


async def test_heartbeats_and_health_are_no_spans(traced_api: Api, spans: InMemorySpanExporter) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v1/runs/run_x/heartbeats"):
        await traced_api.http.get(path)
    assert spans.get_finished_spans() == ()


async def test_where_nothing_is_traced_no_layer_is_added_and_a_job_and_its_launch_tell_of_no_trace(
    api: Api, system: System, routed_app: FastAPI
) -> None:
    assert TracedRequests not in [each.cls for each in routed_app.user_middleware]
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await dispatch(system, gpus=1)
    engine = PaperEngine()
    await make_agent(system, engine).relay()
    assert replace(engine.launched[0]).trace_environment == {}
    events = (await api.get(f"/jobs/{job['id']}/events"))["data"]
    assert [event["kind"] for event in events] == ["submitted", "dispatched"]
    assert not any("traceparent" in event["data"] for event in events)


@pytest.mark.parametrize(
    ("environ", "exporter"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "mine"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, None),
    ],
    ids=range(7),
)
def test_environment_says_whether_and_where_traces_go(environ: dict[str, str], exporter: str | None) -> None:
    assert traces.find_exporter(environ) == exporter


@pytest.mark.parametrize(
    ("environ", "hidden", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, None, "'zipkin' is none of otlp, console"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "opentelemetry.sdk.trace", "install the extra `traces`"),
    ],
    ids=["unknown", "not installed"],
)
def test_what_cannot_be_traced_is_said_and_the_broker_serves(
    environ: dict[str, str],
    hidden: str | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if hidden is not None:
        monkeypatch.setitem(sys.modules, hidden, None)
    with traces.tracing("lora-broker", environ):
        assert not traces.is_on()
    assert said in caplog.text
