"""The routes' class: what failed is told as DashScope's clients read it, in the caller's language."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from broker.facades.asking import Refused
from broker.facades.dashscope.faults import name_fields, write_fault
from broker.facades.door import FacadeRoute, pass_headers
from broker.http.access import find_request_id
from broker.http.languages import find_language

PREFIX = "/dashscope/api/v1"


class DashScopeRoute(FacadeRoute):
    """A route of the facade."""

    def tell(self, request: Request, refused: Refused) -> Response:
        sent_as, body, own = tell_fault(request, refused)
        return answer(body, sent_as, pass_headers(refused) | own)


def tell_fault(request: Request, refused: Refused) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Tell what failed in the caller's language: the status, the body and the headers."""
    named, language = name_fields(refused.status, refused.members), find_language(request)
    said = named if language is None else request.app.state.say_problem(named, language)
    return write_fault(refused.status, said)


def answer(told: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer with the id of the request, as each answer of DashScope's has."""
    return JSONResponse({"request_id": find_request_id(), **told}, status, headers)


def facade_router() -> APIRouter:
    return APIRouter(prefix=PREFIX, route_class=DashScopeRoute, include_in_schema=False)
