"""The routes' class: whatever fails is told by the headers that the hub's client reads."""

import json
import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from broker.facades.asking import Refused
from broker.http.problems import answer_error

PREFIX = "/hf"
CODE, MESSAGE = "X-Error-Code", "X-Error-Message"
UNSENDABLE = re.compile(r"[^\x20-\x7e]")  # in a header
PASSED_ON = ("retry-after", "www-authenticate")


class HubRoute(APIRoute):
    """A route of the facade."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_tell(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                return _tell(refused)
            except Exception as error:  # noqa: BLE001 (told as the application tells it, in this client's words)
                problem = await answer_error(request, error)
                members = json.loads(bytes(problem.body) or b"{}")
                return _tell(Refused(problem.status_code, members, problem.headers))

        return handle_or_tell


def not_found(code: str, message: str) -> Refused:
    """Make the refusal of what is not there; the code says of what: RepoNotFound, RevisionNotFound, EntryNotFound."""
    return Refused(HTTPStatus.NOT_FOUND, {"detail": message, "code": code})


def _tell(refused: Refused) -> Response:
    message = str(refused.members.get("detail") or refused.members.get("title") or HTTPStatus(refused.status).phrase)
    headers = {name: refused.headers[name] for name in PASSED_ON if name in refused.headers}
    headers[MESSAGE] = UNSENDABLE.sub("?", message)
    if (code := refused.members.get("code")) is not None:
        headers[CODE] = code
    return JSONResponse({"error": message}, refused.status, headers)


def hub_router() -> APIRouter:
    return APIRouter(prefix=PREFIX, route_class=HubRoute, include_in_schema=False)
