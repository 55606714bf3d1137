"""The edge: one transaction for each request, committed before the response is sent.

Code after `yield` in a FastAPI dependency runs after the response; a commit there could answer 201 and then fail.
So the transaction is held by the route itself. The bearer is known before the body is read, and the body is read
before the transaction opens: a slow client holds no database connection. A route that has slow work of its own takes
the `Caller` in place of the `Work`, and begins the transaction when that is done.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from broker import errors
from broker.http.access import bind_caller
from broker.http.body import BodyLimit, limit_body, read_body
from broker.http.caller import Caller
from broker.http.decision import READS, Decision, find_decision
from broker.http.direct import DirectHandler, Handler
from broker.http.idempotency import AnsweredBefore, read_claim
from broker.http.openapi import SECURITY_SCHEME
from broker.http.parameters import Parameters, refuse_unknown
from broker.http.preconditions import IF_MATCH, WRITES, read_condition, require_match, tag_answer
from broker.http.rate_limits import admit_request
from broker.http.raw_headers import find_header
from broker.http.scopes import find_scope, require_scope
from broker.http.supposed import Supposed
from broker.work import Actor, Role, Work

Record = Callable[[Work, Decision], Awaitable[None]]
# How large a form may be, where its route says so by a dependency.
FindBodyLimit = Callable[[Request, Actor], Awaitable[BodyLimit | None]]


class Bearers(Protocol):
    """Finds who bears a token; `app.py` says how."""

    async def authenticate(self, token: str) -> Actor:
        """Find who bears this token. Raises: Unauthenticated, Busy."""
        ...

    def suppose(self, token: str) -> Supposed | None:
        """Suppose that a token is still whose it was; None where nothing is remembered of it."""
        ...


class TransactionalRoute(APIRoute):
    """A route whose handler runs in one transaction, as the actor of its API key."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.parameters = Parameters.of(self.dependant)
        self.confirms = any(getattr(each.call, "confirms", False) for each in self.dependant.dependencies)
        self.checks_events = any(getattr(each.call, "checks_events", False) for each in self.dependant.dependencies)
        self.begins = any(getattr(each.call, "begins", False) for each in self.dependant.dependencies)
        streams = any(getattr(each.call, "streams", False) for each in self.dependant.dependencies)
        self.streams = streams or ("PUT" in (self.methods or ()) and not self.dependant.body_params)
        asked = (getattr(each.call, "find_body_limit", None) for each in self.dependant.dependencies)
        self.find_body_limit: FindBodyLimit | None = next(filter(None, asked), None)
        is_object = self.path_format.endswith("}") and self.methods == {"GET"}
        self.has_etag = is_object and self.has_plan and self.begins
        self.has_own_condition = any(each.alias == IF_MATCH for each in self.dependant.header_params)
        is_write = not WRITES.isdisjoint(self.methods or ())
        self.has_condition = self.begins and is_write and not self.has_own_condition
        roles = find_roles(self.dependant)
        self.scope = None if roles == [Role.RUN] else find_scope(self.name, self.tags, self.methods or ())
        told: dict[str, Any] = {"x-roles": roles, "x-scope": self.scope, "security": [{SECURITY_SCHEME: []}]}
        told |= {"x-etag": self.has_etag, "x-condition": self.has_condition}
        self.openapi_extra = {**(self.openapi_extra or {}), **told}

    def get_route_handler(self) -> Handler:
        usual = super().get_route_handler()
        planned = DirectHandler.of(self, usual)
        handle = planned or usual
        self.read_within = handle

        async def handle_in_transaction(request: Request) -> Response:
            supposed = suppose(request) if self.confirms else None
            if supposed is None:
                actor = act_as_member(request, await identify(request))
                await admit_request(request, actor)
                return await handle_as(request, actor, None)
            await admit_request(request, supposed.actor)
            try:
                answer = await handle_as(request, supposed.actor, supposed)
            except Exception:
                await supposed.confirm()
                raise
            await supposed.confirm()
            return answer

        async def handle_as(request: Request, actor: Actor, supposed: Supposed | None) -> Response:
            bind_caller(request, actor)
            require_scope(request, actor, self.scope)
            request.state.streams = self.streams
            if not self.streams:
                of_form = None if self.find_body_limit is None else await self.find_body_limit(request, actor)
                request = limit_body(request, request.app.state.services, of_form=of_form)
            try:
                await read_body(request, streams=self.streams, checks_values=not self.checks_events)
                async with AsyncExitStack() as stack:
                    caller = await _receive_caller(request, actor, supposed, stack)
                    request.state.parameters = self.parameters
                    if not self.has_own_condition and (wanted := read_condition(request)) is not None:
                        await self._require_match(request, caller, wanted)
                    response = await caller.answer(lambda: _handle_and_record(request, caller, handle))
                return tag_answer(request, response) if self.has_etag else response
            except AnsweredBefore as earlier:
                return earlier.response
            finally:
                await request.close()

        self.has_plan, self.answer_request = planned is not None, handle_in_transaction
        return handle_in_transaction

    async def _require_match(self, request: Request, caller: Caller, wanted: str) -> None:
        """Require that the object is as the client knows it, before the handler changes it.

        Raises: InvalidRequest, where this route does more than change an object; VersionMismatch, and what reading
        the object raises.
        """
        if not self.has_condition:
            raise errors.invalid_field(IF_MATCH, "this request takes none; leave it out")
        await require_match(request, caller, wanted)


async def _receive_caller(request: Request, actor: Actor, supposed: Supposed | None, stack: AsyncExitStack) -> Caller:
    state = request.app.state
    claim = await read_claim(request)
    record = partial(_record_decision, request, actor)
    caller = Caller(actor, state.services, state.database, state.turnstile, claim, stack, record, supposed, state.reads)
    request.state.caller = caller
    return caller


async def _handle_and_record(request: Request, caller: Caller, handle: Handler) -> Response:
    response = await handle(request)
    if caller.work is not None:
        await caller.record(caller.work, response)
    return response


async def _record_decision(request: Request, actor: Actor, work: Work, response: Response) -> None:
    """Record what was done in the transaction that does it, where it is a decision of staff; `app.py` says how."""
    decision = await find_decision(request, response, actor, work.looks)
    if decision is not None:
        record: Record = request.app.state.record_decision
        await record(work, decision)


async def identify(request: Request) -> Actor:
    """Find whose request it is, in a transaction of its own; `app.py` says how. Raises: Unauthenticated, Busy."""
    bearers: Bearers = request.app.state.bearers
    return await bearers.authenticate(read_bearer_token(request))


def act_as_member(request: Request, actor: Actor) -> Actor:
    """Narrow who is confined to projects, for a request that changes anything, to those in which it acts."""
    if actor.projects is None or request.method in READS:
        return actor
    return replace(actor, projects=actor.acts_in)


def suppose(request: Request) -> Supposed | None:
    """Suppose whose request it is, where its token was seen before: for a route whose transaction confirms it."""
    bearers: Bearers = request.app.state.bearers
    return bearers.suppose(read_bearer_token(request))


def read_bearer_token(request: Request) -> str:
    """Read the token of the Authorization header. Raises: Unauthenticated."""
    scheme, _, token = (find_header(request.scope, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.Unauthenticated("Send the API key as `Authorization: Bearer <API key>`.")
    return token.strip()


def allow(*roles: Role) -> Callable[..., Coroutine[Any, Any, Work]]:
    """Make a dependency that hands the request's unit of work to actors of these roles. It raises: Forbidden."""

    async def begin_work(request: Request) -> Work:
        return await (await _admit(request, roles)).begin()

    begin_work.roles = sorted(role.value for role in roles)  # type: ignore[attr-defined]
    begin_work.confirms = begin_work.begins = True  # type: ignore[attr-defined]
    return begin_work


def admit(*roles: Role, looks_back: bool = True, confirms: bool = False) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """Make a dependency for a route with slow work: no transaction is open until its handler begins it.

    A route that itself looks for the answer that a request got before says so; and one that does nothing by itself
    before its first transaction, which then confirms whose request it is. It raises: Forbidden; AnsweredBefore.
    """

    async def get_caller(request: Request) -> Caller:
        caller = await _admit(request, roles)
        if looks_back:
            await caller.answer_if_known()
        return caller

    get_caller.roles = sorted(role.value for role in roles)  # type: ignore[attr-defined]
    get_caller.confirms = confirms  # type: ignore[attr-defined]
    return get_caller


def admit_events(*roles: Role) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """Make a dependency as `admit` does, for a route that checks each event of its body by itself.

    Its body may have values that no table keeps: one bad event does not sink those beside it.
    """
    get_caller = admit(*roles)
    get_caller.checks_events = True  # type: ignore[attr-defined]
    return get_caller


def admit_stream(*roles: Role) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """Make a dependency as `admit` does, for a route that reads its body by itself, whatever its method."""
    get_caller = admit(*roles)
    get_caller.streams = True  # type: ignore[attr-defined]
    return get_caller


async def _admit(request: Request, roles: tuple[Role, ...]) -> Caller:
    caller: Caller = request.state.caller
    caller.require_role(roles)
    await refuse_unknown(request, request.state.parameters)
    return caller


def find_roles(dependant: Dependant) -> list[str]:
    """Find the roles that a route's handler is for, as its dependency on `allow` or `admit` names them."""
    return next((roles for each in dependant.dependencies if (roles := getattr(each.call, "roles", None))), [])


AnyKey = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.FINANCE, Role.OPS, Role.ADMIN))]
CustomerWork = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.ADMIN))]
JobControl = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.OPS, Role.ADMIN))]
FinanceWork = Annotated[Work, Depends(allow(Role.FINANCE, Role.ADMIN))]
BillingWork = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.FINANCE, Role.ADMIN))]
BillingReader = Annotated[Work, Depends(allow(Role.CUSTOMER, Role.FINANCE, Role.ADMIN))]
OpsWork = Annotated[Work, Depends(allow(Role.OPS, Role.ADMIN))]
StaffWork = Annotated[Work, Depends(allow(Role.FINANCE, Role.OPS, Role.ADMIN))]
AdminWork = Annotated[Work, Depends(allow(Role.ADMIN))]
RunWork = Annotated[Work, Depends(allow(Role.RUN))]
BillingCaller = Annotated[Caller, Depends(admit(Role.CUSTOMER, Role.FINANCE, Role.ADMIN, confirms=True))]
CustomerCaller = Annotated[Caller, Depends(admit(Role.CUSTOMER, Role.ADMIN))]
StreamCaller = Annotated[Caller, Depends(admit_stream(Role.CUSTOMER, Role.ADMIN))]
QuotingCaller = Annotated[Caller, Depends(admit(Role.CUSTOMER, Role.ADMIN, confirms=True))]
OpsCaller = Annotated[Caller, Depends(admit(Role.OPS, Role.ADMIN))]
FinanceCaller = Annotated[Caller, Depends(admit(Role.FINANCE, Role.ADMIN))]
AnyReader = Annotated[Caller, Depends(admit(Role.CUSTOMER, Role.FINANCE, Role.OPS, Role.ADMIN, confirms=True))]
AnyCaller = Annotated[Caller, Depends(admit(Role.CUSTOMER, Role.FINANCE, Role.OPS, Role.ADMIN))]
EventCaller = Annotated[Caller, Depends(admit_events(Role.RUN, Role.METER, Role.OPS, Role.ADMIN))]
CustomerInBatch = Annotated[Caller, Depends(admit(Role.CUSTOMER, Role.ADMIN, looks_back=False, confirms=True))]
RunCaller = Annotated[Caller, Depends(admit(Role.RUN))]


class FeatureRouter(APIRouter):
    """The routes of a feature: a path that does not begin as their prefix does is compared with none of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.beginning = self.prefix.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path: str = scope["path"]
        if not path.removeprefix(scope.get("root_path", "")).startswith(self.beginning):
            return Match.NONE, {}
        return super().matches(scope)


def feature_router(prefix: str, tag: str) -> APIRouter:
    return FeatureRouter(prefix=f"/v1{prefix}", tags=[tag], route_class=TransactionalRoute)
