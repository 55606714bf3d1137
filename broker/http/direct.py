"""Calls a route's handler with what a plain request brings, by a plan that is made once.

FastAPI finds out with each request anew how its handler's arguments come about. Here that is done once, from what
FastAPI itself found in the handler's signature (`Dependant`): the OpenAPI document and the validators are its own. The
plan is for a request that is as it should be. One that brings more, such as a query, or anything that is wrong, is
handed to FastAPI before it was acted upon, so each error is told as ever.
"""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Self

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute, serialize_response

from broker.http.body import JSON_TYPE, find_type

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
# What FastAPI knows of a parameter: its name, its alias, its default, its validator. It exports no name for the type.
Field = Any
# Where FastAPI looks for what is to be ended with a request, in its scope: it puts them there on its own way.
FASTAPI_STACKS = ("fastapi_middleware_astack", "fastapi_inner_astack", "fastapi_function_astack")
PLAIN_STATUS = frozenset({None, 200, 201, 202})


class NotPlain(Exception):
    """The request brings what no plan is made for, or something in it is wrong: FastAPI handles it."""


@dataclass(frozen=True)
class Needed:
    """What a handler needs from one dependency, which itself takes the request and nothing else."""

    name: str | None
    request_name: str
    get: Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True)
class DirectHandler:
    """Handles the requests of one route: the plain ones by its plan, the others by FastAPI's `usual` handler."""

    route: APIRoute
    needed: Sequence[Needed]
    body: Field | None
    usual: Handler

    @classmethod
    def of(cls, route: APIRoute, usual: Handler) -> Self | None:
        """Plan the calls of a route; None for one whose handler takes or answers more than a plan knows of."""
        dependant = route.dependant
        if not (_answers_plainly(route) and _takes_plainly(dependant) and iscoroutinefunction(route.endpoint)):
            return None
        needed = [Needed(each.name, each.request_param_name or "", each.call) for each in dependant.dependencies]  # type: ignore[arg-type]
        return cls(route, needed, next(iter(dependant.body_params), None), usual)

    async def __call__(self, request: Request) -> Response:
        try:
            arguments = await self._read_arguments(request)
        except NotPlain:
            return await _handle_usually(request, self.usual)
        for each in self.needed:
            found = await each.get(**{each.request_name: request})
            if each.name is not None:
                arguments[each.name] = found
        beside = self._prepare_beside(arguments)
        answer = await self.route.endpoint(**arguments)
        if isinstance(answer, Response):
            return answer
        written = await self._write(answer)
        written.raw_headers.extend(beside)
        return written

    def _prepare_beside(self, arguments: dict[str, Any]) -> list[tuple[bytes, bytes]]:
        """Hand over the response that a handler asks for; returns the list in which the headers are that it adds."""
        name = self.route.dependant.response_param_name
        if name is None:
            return []
        response = Response()
        del response.headers["content-length"]
        arguments[name] = response
        return response.raw_headers

    async def _read_arguments(self, request: Request) -> dict[str, Any]:
        """Read the arguments that the request brings. Raises: NotPlain."""
        dependant = self.route.dependant
        if request.scope["query_string"]:
            raise NotPlain
        arguments = {field.name: _validate(field, request.path_params[field.alias]) for field in dependant.path_params}
        if dependant.request_param_name is not None:
            arguments[dependant.request_param_name] = request
        for field in dependant.query_params:
            arguments[field.name] = _get_default(field)
        if self.body is not None:
            arguments[self.body.name] = await _read_body(self.body, request)
        return arguments

    async def _write(self, answer: Any) -> Response:
        """Write an answer as FastAPI does: held against the shape that the route promises, then straight to bytes."""
        content = await serialize_response(field=self.route.response_field, response_content=answer, dump_json=True)
        return Response(content, self.route.status_code or 200, media_type="application/json")


async def _handle_usually(request: Request, usual: Handler) -> Response:
    """Have FastAPI handle a request; what it wants to have ended then, it hands to one stack or another of its own."""
    async with AsyncExitStack() as stack:
        for name in FASTAPI_STACKS:
            request.scope.setdefault(name, stack)
        return await usual(request)


async def _read_body(field: Field, request: Request) -> Any:
    """Read the body, which the edge has received and parsed before. Raises: NotPlain."""
    if not await request.body():
        return _get_default(field)
    if not JSON_TYPE.match(find_type(request)):
        raise NotPlain
    return _validate(field, await request.json())


def _validate(field: Field, value: Any) -> Any:
    validated, faults = field.validate(value)
    if faults:
        raise NotPlain
    return validated


def _get_default(field: Field) -> Any:
    if field.field_info.is_required():
        raise NotPlain
    return field.get_default()


def _answers_plainly(route: APIRoute) -> bool:
    """Tell whether a route answers with one JSON document, all of it."""
    return (
        route.response_field is not None
        and isinstance(route.response_class, DefaultPlaceholder)
        and route.status_code in PLAIN_STATUS
        and not (route.is_sse_stream or route.is_json_stream)
        and not (route.response_model_include or route.response_model_exclude or not route.response_model_by_alias)
        and not (route.response_model_exclude_unset or route.response_model_exclude_none)
        and not route.response_model_exclude_defaults
    )


def _takes_plainly(dependant: Dependant) -> bool:
    """Tell whether a handler takes parameters, at most one JSON document, and what the request alone is needed for."""
    calls = [each.call for each in dependant.dependencies]
    return (
        _takes_no_more(dependant)
        and len(dependant.body_params) <= 1
        and all(_is_document(field) for field in dependant.body_params)
        and all(_takes_the_request(each) for each in dependant.dependencies)
        and all(calls.count(call) == 1 for call in calls)
    )


def _is_document(field: Field) -> bool:
    return not isinstance(field.field_info, Form) and not getattr(field.field_info, "embed", None)


def _takes_the_request(dependant: Dependant) -> bool:
    parameters = [*dependant.path_params, *dependant.query_params, *dependant.body_params]
    return (
        _takes_no_more(dependant)
        and dependant.request_param_name is not None
        and dependant.response_param_name is None
        and iscoroutinefunction(dependant.call)
        and not (parameters or dependant.dependencies)
    )


def _takes_no_more(dependant: Dependant) -> bool:
    """Tell whether nothing is asked for that only FastAPI knows how to make."""
    others = (
        dependant.websocket_param_name,
        dependant.http_connection_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
        dependant.concurrency,
    )
    return all(other is None for other in others) and not (dependant.header_params or dependant.cookie_params)
