"""The edge: one transaction for each request, opened here and committed before the response is sent.

Code after `yield` in a FastAPI dependency runs after the response; a commit there could answer 201 and then fail.
So the transaction is held by the route itself. The bearer is known before the body is read, and the body is read
before the transaction opens: a slow client holds no database connection.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from broker import errors
from broker.http.body import limit_body, read_body
from broker.http.idempotency import Claim, answer_once, read_claim
from broker.http.parameters import Parameters, refuse_unknown
from broker.persistence.database import Database, Scope
from broker.persistence.tenancy import confine
from broker.work import STAFF, Actor, Role, Services, Work

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Authenticate = Callable[[Database, str, Services], Awaitable[Actor]]

BEARER = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="`Authorization: Bearer <API key>`")


class TransactionalRoute(APIRoute):
    """A route whose handler runs in one transaction, as the actor of its API key."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.parameters = Parameters.of(self.dependant)
        self.openapi_extra = {**(self.openapi_extra or {}), "x-roles": find_roles(self.dependant)}

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handle_in_transaction(request: Request) -> Response:
            actor = await identify(request)
            request = limit_body(request, request.app.state.services)
            try:
                await read_body(request)
                claim = await read_claim(request)
                async with open_work(request, actor, claim) as work:
                    request.state.work, request.state.parameters = work, self.parameters
                    return await answer_once(work, claim, lambda: handle(request))
            finally:
                await request.close()

        return handle_in_transaction


async def identify(request: Request) -> Actor:
    """Find whose request it is, in a transaction of its own; `app.py` says how. Raises: Unauthenticated."""
    state = request.app.state
    authenticate: Authenticate = state.authenticate
    return await authenticate(state.database, read_bearer_token(request), state.services)


@asynccontextmanager
async def open_work(request: Request, actor: Actor, claim: Claim | None) -> AsyncIterator[Work]:
    """Open the request's unit of work, which sees what its actor may see; it is committed when the block ends."""
    database: Database = request.app.state.database
    services: Services = request.app.state.services
    async with database.transaction(*scope_of(actor)) as session:
        work = Work(session, actor, services, claim.key if claim else None)
        if work.confined_to is not None:
            confine(session.sync_session, work.confined_to)
        yield work


def read_bearer_token(request: Request) -> str:
    """Read the token of the Authorization header. Raises: Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.Unauthenticated("Send the API key as `Authorization: Bearer <API key>`.")
    return token.strip()


def scope_of(actor: Actor) -> tuple[Scope, str | None]:
    if actor.role in STAFF:
        return Scope.ALL, None
    return Scope.TENANT, actor.customer_id


def allow(*roles: Role) -> Callable[..., Coroutine[Any, Any, Work]]:
    """Make a dependency that hands the request's unit of work to actors of these roles. It raises: Forbidden."""

    async def get_work(request: Request, _bearer: Annotated[Any, Depends(BEARER)]) -> Work:
        work: Work = request.state.work
        if work.actor.role not in roles:
            names = ", ".join(sorted(role.value for role in roles))
            raise errors.Forbidden(f"This needs a key of role {names}; yours is {work.actor.role.value}.")
        await refuse_unknown(request, request.state.parameters)
        return work

    get_work.roles = sorted(role.value for role in roles)  # type: ignore[attr-defined]
    return get_work


def find_roles(dependant: Dependant) -> list[str]:
    """Find the roles that a route's handler is for, as its dependency on `allow` names them."""
    return next((roles for each in dependant.dependencies if (roles := getattr(each.call, "roles", None))), [])


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
