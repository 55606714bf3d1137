"""The routes' class: whatever fails is told by the headers that the hub's client reads."""

import re
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from broker.facades.asking import Refused
from broker.facades.door import FacadeRoute, pass_headers

PREFIX = "/hf"
CODE, MESSAGE = "X-Error-Code", "X-Error-Message"
UNSENDABLE = re.compile(r"[^\x20-\x7e]")  # in a header


class HubRoute(FacadeRoute):
    """A route of the facade."""

    def tell(self, _request: Request, refused: Refused) -> Response:
        told = refused.members
        message = str(told.get("detail") or told.get("title") or HTTPStatus(refused.status).phrase)
        headers = {**pass_headers(refused), MESSAGE: UNSENDABLE.sub("?", message)}
        if (code := told.get("code")) is not None:
            headers[CODE] = code
        return JSONResponse({"error": message}, refused.status, headers)


def not_found(code: str, message: str) -> Refused:
    """Make the refusal of what is not there; the code says of what: RepoNotFound, RevisionNotFound, EntryNotFound."""
    return Refused(HTTPStatus.NOT_FOUND, {"detail": message, "code": code})


def hub_router() -> APIRouter:
    return APIRouter(prefix=PREFIX, route_class=HubRoute, include_in_schema=False)
