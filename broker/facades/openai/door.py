"""The routes' class: who asks is known first, a body is limited and checked, failures are told in the clients' form."""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from broker.facades.asking import Refused
from broker.facades.openai.faults import write_fault
from broker.http.body import limit_body, read_body
from broker.http.edge import identify
from broker.http.problems import answer_error

PREFIX = "/openai/v1"
RETRY_HEADER = "x-stainless-retry-count"
PASSED_ON = ("retry-after", "www-authenticate")


class OpenAIRoute(APIRoute):
    """A route of the facade."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_tell(request: Request) -> Response:
            try:
                await identify(request)
                request = limit_body(request, request.app.state.services)
                await read_body(request)
                return await handle(request)
            except Refused as refused:
                return _tell(refused.status, refused.members, refused.headers)
            except Exception as error:  # noqa: BLE001 (told as the application tells it, in this client's words)
                problem = await answer_error(request, error)
                return _tell(problem.status_code, json.loads(bytes(problem.body) or b"{}"), problem.headers)

        return handle_or_tell


def _tell(status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    sent_as, body, own = write_fault(status, problem)
    passed = {name: headers[name] for name in PASSED_ON if name in headers}
    return JSONResponse(body, sent_as, passed | own)


def is_repeated(request: Request) -> bool:
    """Tell whether a client sends a request again by itself."""
    return request.headers.get(RETRY_HEADER, "0") != "0"


def facade_router() -> APIRouter:
    return APIRouter(prefix=PREFIX, route_class=OpenAIRoute, include_in_schema=False)
