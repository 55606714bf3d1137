"""The routes' class: failures are told in the form that Together's clients read."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from broker.facades.asking import Refused
from broker.facades.door import FacadeRoute, pass_headers
from broker.facades.error_objects import write_fault
from broker.facades.together.orders import translate_field

PREFIX = "/together/v1"


class TogetherRoute(FacadeRoute):
    """A route of the facade."""

    def tell(self, _request: Request, refused: Refused) -> Response:
        sent_as, body, own = write_fault(refused.status, refused.members, translate_field)
        return JSONResponse(body, sent_as, pass_headers(refused) | own)


def facade_router(prefix: str = PREFIX) -> APIRouter:
    return APIRouter(prefix=prefix, route_class=TogetherRoute, include_in_schema=False)
