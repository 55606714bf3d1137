"""Answers plain requests beside the framework's layers: from the table of routes straight to the route's handler.

Between the access log and a handler FastAPI and Starlette have nine layers for what most requests bring none of: files
to close, dependencies with an end of their own, mounted folders, other methods, redirects. Each passes on every message
of the answer, too. What a route of the edge has a plan for (`direct.py`) is answered here; all else goes on to FastAPI.
"""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.http.edge import TransactionalRoute
from broker.http.route_table import RouteTable

ErrorHandler = Callable[[Request, Exception], Awaitable[Response]]


class ShortWay:
    """Hands requests without a query to the handlers of their routes, where these have a plan.

    What a handler raises is answered by the application's own handler of such an error. What none is for goes on as it
    was raised, to the layer that answers and logs what nobody expected.
    """

    def __init__(self, app: ASGIApp, table: RouteTable) -> None:
        self.app, self.table = app, table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None if scope["type"] != "http" or scope["query_string"] else self.table.find(scope)
        route = None if found is None else found.context.original_route
        if found is None or not isinstance(route, TransactionalRoute) or not route.has_plan:
            await self.app(scope, receive, send)
            return
        scope.update(found.select(scope))
        request = Request(scope, receive, send)
        try:
            response = await route.answer_request(request)
        except Exception as error:
            handle = find_handler(request, error)
            if handle is None:
                raise
            response = await handle(request, error)
            error.__traceback__ = None  # one error may be told to all of a batch: it would gather what each adds
        await response(scope, receive, send)


def find_handler(request: Request, error: Exception) -> ErrorHandler | None:
    """Find the application's handler of an error by its nearest class; None for what nobody expects."""
    handlers: Mapping[type[Exception], ErrorHandler] = request.app.exception_handlers
    return next((handlers[kind] for kind in type(error).__mro__ if kind in handlers and kind is not Exception), None)
