"""The run in the trace of its job, by OpenTelemetry: what its agent began (`TRACEPARENT`) goes on here.

Off where the agent names no trace, or OpenTelemetry's SDK is not installed here: then requests name the agent's span,
if there is one, and nothing else is done. Spans are few: what a run waits for, not its steps or its heartbeats.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from trainer.log import write_line

HEADER, VARIABLE = "traceparent", "TRACEPARENT"
SERVICE = "lora-trainer"  # unless OTEL_SERVICE_NAME says otherwise
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FLUSH_SECONDS = 5
Told = str | int


@dataclass(frozen=True)
class RunTracing:
    """The tracer of this process, and the span of the whole run, below which those of other threads stand, too."""

    api: Any
    provider: Any
    tracer: Any
    propagator: Any
    parent: Any

    def find_parent(self) -> Any:
        """Find the context of the current span; in a thread that has none, that of the run."""
        current = self.api.get_current_span()
        return None if current.get_span_context().is_valid else self.parent


_agents_span: str | None = None
_tracing: RunTracing | None = None


@contextmanager
def tracing_run(environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Trace the run of this process for as long as the block lasts; what is left of it is sent at the end."""
    global _agents_span  # noqa: PLW0603 (a process has one run)
    _agents_span = environ.get(VARIABLE)
    provider = None if _agents_span is None else _open_provider(environ)
    if provider is None or _agents_span is None:
        yield
        return
    with tracing_by(provider, _agents_span):
        yield


@contextmanager
def tracing_by(provider: Any, traceparent: str) -> Iterator[None]:
    """Trace by a provider of OpenTelemetry, below the span that a traceparent names."""
    global _tracing  # noqa: PLW0603
    api, sent = import_module("opentelemetry.trace"), import_module("opentelemetry.trace.propagation.tracecontext")
    propagator, tracer = sent.TraceContextTextMapPropagator(), provider.get_tracer("trainer")
    with tracer.start_as_current_span("run", context=propagator.extract({HEADER: traceparent})) as run:
        _tracing = RunTracing(api, provider, tracer, propagator, api.set_span_in_context(run))
        try:
            yield
        finally:
            _tracing = None
    provider.force_flush(FLUSH_SECONDS * 1000)


def _open_provider(environ: Mapping[str, str]) -> Any:
    """Open what the environment wants; None where it wants nothing, or what it wants is not here."""
    wanted = environ.get("OTEL_TRACES_EXPORTER", "otlp" if any(environ.get(name) for name in ENDPOINTS) else "none")
    if wanted != "otlp" or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        sending = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter()
    except ImportError as error:
        write_line(f"traces are wanted, and {error.name} is not installed here: nothing of this run is traced")
        return None
    resource = resources.Resource({"service.name": SERVICE}).merge(resources.OTELResourceDetector().detect())
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(sending))
    return provider


@contextmanager
def span(name: str, **told: Told) -> Iterator[None]:
    """Trace a block; names of attributes have a point where these have an underscore."""
    on = _tracing
    if on is None:
        yield
        return
    attributes = {word.replace("_", "."): value for word, value in told.items()}
    with on.tracer.start_as_current_span(name, context=on.find_parent(), attributes=attributes, record_exception=False):
        yield


def find_traceparent() -> str | None:
    """Find what a request names as its trace: the current span, or that of the run, or of who has launched it."""
    on = _tracing
    if on is None:
        return _agents_span
    carrier: dict[str, str] = {}
    on.propagator.inject(carrier, on.find_parent())
    return carrier.get(HEADER)


def flush() -> None:
    """Send what is traced by now: the process is about to end at once."""
    if _tracing is not None:
        _tracing.provider.force_flush(FLUSH_SECONDS * 1000)
