"""ETag, `If-None-Match` and `If-Match`: an object is not sent again as it is known, nor changed as it is not.

The ETag of an object is the hash of its answer to `GET`. A write with `If-Match` first reads the object as `GET` does,
in its own transaction, and is refused (412) where the object is another by now. Of two such writes the second waits for
the first one: they take turns by address. A write without `If-Match` asks for no turn. Routes whose objects have
versions of their own (`versions.py`: of what a PATCH may set, under its lock) do both by themselves.
"""

import hashlib
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any, Protocol

from fastapi import Request, Response
from sqlalchemy import func, select

from broker import errors
from broker.http.caller import Caller
from broker.http.raw_headers import find_header
from broker.http.route_table import RouteTable
from broker.work import Work

IF_MATCH, IF_NONE_MATCH, ETAG = "If-Match", "If-None-Match", "ETag"
WRITES = frozenset({"PATCH", "PUT", "DELETE"})
ANY = "*"


class Readable(Protocol):
    """A route that may answer an object within the transaction of another request."""

    parameters: Any
    has_etag: bool

    async def read_within(self, request: Request) -> Response:
        """Answer the object."""
        ...


@dataclass
class Reader(Caller):
    """A caller that reads within a transaction that has begun."""

    within: Work | None = None

    async def begin(self) -> Work:
        assert self.within is not None
        return self.within


def tag_answer(request: Request, response: Response) -> Response:
    """Give an answer its ETag; one that the client has already is told without its body."""
    if response.status_code != HTTPStatus.OK or not isinstance(getattr(response, "body", None), bytes):
        return response
    if ETAG in response.headers:  # a version of what may be set: what lives beside it may be another all the same
        return response
    tag = make_tag(response)
    response.headers[ETAG] = tag
    known = find_header(request.scope, IF_NONE_MATCH.lower().encode())
    if known is None or not _names(known, tag):
        return response
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={ETAG: tag})


def make_tag(response: Response) -> str:
    """Make the ETag of an answer, unless its route has told one: a version of its own (`versions.py`)."""
    own = response.headers.get(ETAG)
    return own if own is not None else f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'


def _names(header: str, tag: str) -> bool:
    """Tell whether a header names a tag; a cache may have made it a weak one."""
    return header.strip() == ANY or tag in [each.strip().removeprefix("W/") for each in header.split(",")]


def read_condition(request: Request) -> str | None:
    """Read the ETags that a write requires; None where it requires none."""
    if request.method not in WRITES:
        return None
    return find_header(request.scope, IF_MATCH.lower().encode())


def find_readable(request: Request) -> tuple[Readable, Request] | None:
    """Find the route that answers the object at a request's own address, and the request to it."""
    table = next(each for each in request.app.router.routes if isinstance(each, RouteTable))
    scope = {**request.scope, "method": "GET", "query_string": b"", "state": dict(request.scope.get("state", {}))}
    found = table.find(scope)
    route: Any = None if found is None else found.context.original_route
    if found is None or not getattr(route, "has_etag", False):
        return None
    scope.update(found.select(scope))
    return route, Request(scope, request.receive)


async def require_match(request: Request, caller: Caller, wanted: str) -> None:
    """Require that an object still is as the client knows it; the request's transaction begins with that.

    Raises: InvalidRequest, where the address has no ETag; VersionMismatch; NotFound, Forbidden.
    """
    readable = find_readable(request)
    if readable is None:
        raise errors.invalid_field(IF_MATCH, "this address has no ETag; leave it out")
    route, asking = readable
    work = await caller.begin_ahead()
    turn = func.pg_advisory_xact_lock(func.hashtextextended(request.url.path, 0))
    await work.session.execute(select(turn))
    told = {each.name: getattr(caller, each.name) for each in fields(Caller) if each.init}
    asking.state.caller = Reader(**(told | {"claim": None, "supposed": None}), within=work)
    asking.state.parameters = route.parameters
    found = make_tag(await route.read_within(asking))
    work.session.expunge_all()  # the handler reads by itself, under its own locks
    if not _names(wanted, found):
        raise errors.VersionMismatch(
            f"{request.url.path} was changed since it was read as {wanted}; read it again, and decide anew.", etag=found
        )
