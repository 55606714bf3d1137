"""Traces by OpenTelemetry: what a request began, followed through scheduler and agent to the trainer, as one trace.

Off unless the environment says where traces go (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_EXPORTER`): then each call
here is one look at a variable, and nothing of OpenTelemetry is imported. What is told of a span is ids and numbers,
never a header, a parameter or a body.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Literal, Protocol

log = logging.getLogger(__name__)

SERVICE, AGENT = "lora-broker", "lora-broker-agent"  # unless OTEL_SERVICE_NAME says otherwise
HEADER = "traceparent"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
EXPORTERS = {
    "otlp": ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter"),
    "console": ("opentelemetry.sdk.trace.export", "ConsoleSpanExporter"),
}
INSTALL = "install the extra `traces` (pip install 'lora-broker[traces]')"
NANOSECONDS = 10**9

Attributes = Mapping[str, str | int]
Kind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]


class Provider(Protocol):
    """What makes tracers, and sends what is left when the process ends: OpenTelemetry's `TracerProvider`."""

    def get_tracer(self, name: str) -> Any: ...

    def shutdown(self) -> None: ...


@dataclass(frozen=True)
class Tracing:
    """The tracer of this process, with what of OpenTelemetry is used here."""

    provider: Provider
    tracer: Any
    api: Any
    propagator: Any

    @classmethod
    def of(cls, provider: Provider) -> "Tracing":
        api = import_module("opentelemetry.trace")
        propagation = import_module("opentelemetry.trace.propagation.tracecontext")
        return cls(provider, provider.get_tracer("broker"), api, propagation.TraceContextTextMapPropagator())

    def read(self, traceparent: str | None) -> Any:
        """Read the context that a traceparent names; None, the current one, where there is none or it is not valid."""
        if traceparent is None:
            return None
        context = self.propagator.extract({HEADER: traceparent})
        return context if self.api.get_current_span(context).get_span_context().is_valid else None

    def write(self, span: Any) -> str:
        carrier: dict[str, str] = {}
        self.propagator.inject(carrier, self.api.set_span_in_context(span))
        return carrier[HEADER]


_tracing: Tracing | None = None


def is_on() -> bool:
    """Tell whether this process traces anything."""
    return _tracing is not None


def find_exporter(environ: Mapping[str, str]) -> str | None:
    """Find by which exporter the environment wants traces sent; None: it wants none."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    named = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if named:
        return None if named == "none" else named
    return "otlp" if any(environ.get(name) for name in ENDPOINTS) else None


@contextmanager
def tracing(service: str, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Trace for as long as the block lasts, where the environment wants that; what is left is sent at its end."""
    exporter = find_exporter(environ)
    provider = None if exporter is None else _open_provider(service, exporter)
    if provider is None:
        yield
        return
    with tracing_by(provider):
        yield


def _open_provider(service: str, exporter: str) -> Provider | None:
    if exporter not in EXPORTERS:
        log.warning("OTEL_TRACES_EXPORTER: %r is none of %s; nothing is traced", exporter, ", ".join(EXPORTERS))
        return None
    module, name = EXPORTERS[exporter]
    try:
        sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        sending = getattr(import_module(module), name)()
    except ImportError as error:
        log.warning("traces are wanted, and %s is not installed: %s; nothing is traced", error.name, INSTALL)
        return None
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before our own name.
    resource = resources.Resource({"service.name": service}).merge(resources.OTELResourceDetector().detect())
    provider: Provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(sending))  # type: ignore[attr-defined]
    return provider


@contextmanager
def tracing_by(provider: Provider) -> Iterator[None]:
    """Trace by a provider for as long as the block lasts."""
    global _tracing  # noqa: PLW0603 (a process traces or it does not, as it logs)
    earlier, _tracing = _tracing, Tracing.of(provider)
    try:
        yield
    finally:
        _tracing = earlier
        provider.shutdown()


@contextmanager
def span(
    name: str, *, parent: str | None = None, kind: Kind = "INTERNAL", attributes: Attributes | None = None
) -> Iterator[Any]:
    """Trace a block as a span below the one that `parent` names, or else below the current one; None where off."""
    on = _tracing
    if on is None:
        yield None
        return
    asked = {"context": on.read(parent), "kind": on.api.SpanKind[kind], "attributes": dict(attributes or {})}
    with on.tracer.start_as_current_span(name, **asked, record_exception=False) as opened:
        yield opened


def note_past(name: str, parent: str | None, began_at: datetime, attributes: Attributes) -> None:
    """Note a span that is over, such as the time that a job has waited, from a moment until now."""
    on = _tracing
    if on is None:
        return
    began = round(began_at.timestamp() * NANOSECONDS)
    on.tracer.start_span(name, context=on.read(parent), start_time=began, attributes=dict(attributes)).end()


def write_ended(name: str, parent: str | None, attributes: Attributes, kind: Kind = "PRODUCER") -> str | None:
    """Note a span of this moment, and write the traceparent of what it has begun; None where off."""
    on = _tracing
    if on is None:
        return None
    asked = {"context": on.read(parent), "kind": on.api.SpanKind[kind], "attributes": dict(attributes)}
    noted = on.tracer.start_span(name, **asked)
    noted.end()
    return on.write(noted)


def find_traceparent() -> str | None:
    """Find the traceparent of the current span; None where there is none."""
    on = _tracing
    if on is None:
        return None
    current = on.api.get_current_span()
    return on.write(current) if current.get_span_context().is_valid else None


def find_trace_id(opened: Any) -> str:
    """Find the id of a span's trace, as tools show it."""
    return format(opened.get_span_context().trace_id, "032x")


def list_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """List what a trainer is told of traces: the variables of OpenTelemetry; none where off."""
    return {name: value for name, value in environ.items() if name.startswith("OTEL_")} if is_on() else {}
