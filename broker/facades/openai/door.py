"""The routes' class: failures are told in the form that the OpenAI clients read."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from broker.facades.asking import Refused
from broker.facades.door import FacadeRoute, pass_headers
from broker.facades.error_objects import write_fault
from broker.facades.openai.fields import translate_field

PREFIX = "/openai/v1"


class OpenAIRoute(FacadeRoute):
    """A route of the facade."""

    def tell(self, _request: Request, refused: Refused) -> Response:
        sent_as, body, own = write_fault(refused.status, refused.members, translate_field)
        return JSONResponse(body, sent_as, pass_headers(refused) | own)


def facade_router() -> APIRouter:
    return APIRouter(prefix=PREFIX, route_class=OpenAIRoute, include_in_schema=False)
