"""The edge: one transaction for each request, opened here and committed before the response is sent.

Code after `yield` in a FastAPI dependency runs after the response; a commit there could answer 201 and then fail.
So the transaction is held by the route itself.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from broker import errors
from broker.database import Database, Scope, set_scope
from broker.idempotency import find_earlier_answer, keep_answer, read_claim
from broker.identity.service import authenticate
from broker.work import STAFF, Actor, Role, Services, Work

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

BEARER = HTTPBearer(auto_error=False, scheme_name="API key", description="`Authorization: Bearer <API key>`")


class TransactionalRoute(APIRoute):
    """A route whose handler runs in one transaction, as the actor of its API key."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handle_in_transaction(request: Request) -> Response:
            token = read_bearer_token(request)
            check_content_length(request)
            claim = await read_claim(request)
            database: Database = request.app.state.database
            services: Services = request.app.state.services
            async with database.transaction(Scope.AUTHENTICATE) as session:
                actor = await authenticate(session, token, services)
                await set_scope(session, *scope_of(actor))
                work = Work(session, actor, services, claim.key if claim else None)
                request.state.work = work
                if claim is None:
                    return await handle(request)
                earlier = await find_earlier_answer(work, claim)
                if earlier is not None:
                    return earlier
                response = await handle(request)
                await keep_answer(work, claim, response)
                return response

        return handle_in_transaction


def read_bearer_token(request: Request) -> str:
    """Raises: Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.Unauthenticated("Send the API key as `Authorization: Bearer <API key>`.")
    return token.strip()


def check_content_length(request: Request) -> None:
    """Refuse a body that is too large before a byte of it is read. Raises: DatasetTooLarge."""
    limit = request.app.state.services.settings.max_dataset_bytes
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limit + (1 << 20):
        raise errors.DatasetTooLarge(f"The body has {length} bytes; this broker takes {limit}.", limit_bytes=limit)


def scope_of(actor: Actor) -> tuple[Scope, str | None]:
    if actor.role in STAFF:
        return Scope.ALL, None
    return Scope.TENANT, actor.customer_id


def allow(*roles: Role) -> Callable[..., Work]:
    """A dependency that hands the request's unit of work to actors of these roles. Raises: Forbidden."""

    def get_work(request: Request, _bearer: Annotated[Any, Depends(BEARER)]) -> Work:
        work: Work = request.state.work
        if work.actor.role not in roles:
            names = ", ".join(sorted(role.value for role in roles))
            raise errors.Forbidden(f"This needs a key of role {names}; yours is {work.actor.role.value}.")
        return work

    return get_work


AnyKey = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.FINANCE, Role.OPS, Role.ADMIN))]
CustomerWork = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.ADMIN))]
JobControl = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.OPS, Role.ADMIN))]
FinanceWork = Annotated[Work, Depends(allow(Role.FINANCE, Role.ADMIN))]
BillingReader = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.FINANCE, Role.ADMIN))]
OpsWork = Annotated[Work, Depends(allow(Role.OPS, Role.ADMIN))]
AdminWork = Annotated[Work, Depends(allow(Role.ADMIN))]
RunWork = Annotated[Work, Depends(allow(Role.RUN))]


def feature_router(prefix: str, tag: str) -> APIRouter:
    return APIRouter(prefix=f"/v1{prefix}", tags=[tag], route_class=TransactionalRoute)
