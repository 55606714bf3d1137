"""What a request carries beyond what its route takes: it is refused rather than ignored, as an unknown field is.

A filter that nobody reads would answer everything, and a body that nobody reads would be taken for done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant

from broker import errors
from broker.http.body import is_form
from broker.http.unknown import MAX_NAMED, describe_unknown
from pricing.number_fields import explain_number, takes_number

WITH_BODY = frozenset({"POST", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Parameters:
    """What a route takes: its query parameters, those of them that may be repeated, and the fields of its body.

    `numbers` are the query parameters, headers and parts of the path that are numbers.
    """

    query: frozenset[str]
    repeatable: frozenset[str]
    numbers: frozenset[str]
    body: frozenset[str]

    @classmethod
    def of(cls, dependant: Dependant) -> Self:
        """Read them off what FastAPI found in the handler and in all that it depends on."""
        own = list(_walk(dependant))
        query = [field for each in own for field in each.query_params]
        others = [field for each in own for field in [*each.header_params, *each.path_params]]
        return cls(
            query=frozenset(field.alias for field in query),
            repeatable=frozenset(field.alias for field in query if get_origin(field.field_info.annotation) is list),
            numbers=frozenset(field.alias for field in [*query, *others] if takes_number(field.field_info.annotation)),
            body=frozenset(field.alias for each in own for field in each.body_params),
        )


def _walk(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _walk(inner)


async def refuse_unknown(request: Request, known: Parameters) -> None:
    """Refuse parameters, form fields and a body that a route does not take, and what only Python reads as a number.

    Raises: InvalidRequest.
    """
    found = [*_check_query(request, known), *_check_numbers(request, known), *await _check_body(request, known)]
    if found:
        raise errors.InvalidRequest("; ".join(f"{item.field}: {item.message}" for item in found), errors=found)


def _check_query(request: Request, known: Parameters) -> Iterator[errors.FieldError]:
    if not request.scope["query_string"]:
        return
    for name in list(dict.fromkeys(request.query_params))[:MAX_NAMED]:
        if name not in known.query:
            yield errors.FieldError(name, describe_unknown(name, known.query, "parameter"))
        elif name not in known.repeatable and len(request.query_params.getlist(name)) > 1:
            yield errors.FieldError(name, "is given more than once; send one")


def _check_numbers(request: Request, known: Parameters) -> Iterator[errors.FieldError]:
    for name in sorted(known.numbers):
        words = explain_number(request.path_params.get(name, request.query_params.get(name, request.headers.get(name))))
        if words is not None:
            yield errors.FieldError(name, words)


async def _check_body(request: Request, known: Parameters) -> list[errors.FieldError]:
    if request.method not in WITH_BODY or request.state.streams:
        return []
    if is_form(request):
        unknown = [name for name in dict.fromkeys(await request.form()) if name not in known.body][:MAX_NAMED]
        return [errors.FieldError(name, describe_unknown(name, known.body, "form field")) for name in unknown]
    if known.body or not await request.body():
        return []
    return _refuse_body(await _read_document(request))


async def _read_document(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        return None


def _refuse_body(document: Any) -> list[errors.FieldError]:
    """Refuse a body where none is taken: field by field, but for an empty object, which says nothing."""
    if document == {}:
        return []
    if not isinstance(document, dict):
        return [errors.FieldError("body", "this request takes none; leave it out")]
    return [errors.FieldError(name, "is not known: this request takes no body") for name in list(document)[:MAX_NAMED]]
