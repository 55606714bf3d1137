"""A span for each request, below the one that its sender names; the log's lines tell the trace, too."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker import traces
from broker.http.access import ROUTINE
from broker.http.raw_headers import find_header
from broker.log_context import bind

HEADER_NAME = traces.HEADER.encode()


class TracedRequests:
    """Traces requests, but those that come every few seconds and tell nothing: a run's heartbeats are thousands."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or ROUTINE.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        method, parent = scope["method"], find_header(scope, HEADER_NAME)
        asked = {"http.request.method": method, "url.path": scope["path"]}
        with traces.span(method, parent=parent, kind="SERVER", attributes=asked) as span:

            async def note_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", int(message["status"]))
                await send(message)

            bind(trace_id=traces.find_trace_id(span))
            try:
                await self.app(scope, receive, note_status)
            finally:
                _name_by_route(span, scope)


def _name_by_route(span: object, scope: Scope) -> None:
    """Name a span by its route, which is known by now; a path with its ids would be a name of its own each time."""
    route = getattr(scope.get("route"), "path_format", None)
    if route is not None:
        span.update_name(f"{scope['method']} {route}")  # type: ignore[attr-defined]
        span.set_attribute("http.route", route)  # type: ignore[attr-defined]
