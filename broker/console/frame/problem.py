"""A problem of the API as a page shows it: the same words, at the field where one is named."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Response

from broker.http.access import HEADER as REQUEST_ID_HEADER
from broker.http.access import find_request_id


@dataclass(frozen=True)
class Problem:
    """What went wrong: `type` is the problem's address, `members` is all that its body says, `errors` by field."""

    status: int
    type: str
    title: str
    detail: str
    request_id: str | None
    errors: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)


def read_problem(response: Response) -> Problem:
    """Read a problem off the answer that says it."""
    return parse_problem(response.status_code, bytes(response.body), response.headers.get(REQUEST_ID_HEADER))


def parse_problem(status: int, body: bytes, request_id: str | None) -> Problem:
    """Read a problem off its body; one that has none is told by its status."""
    try:
        told = json.loads(body)
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    return Problem(
        status=status,
        type=str(told.get("type", "about:blank")),
        title=str(told.get("title", f"HTTP {status}")),
        detail=str(told.get("detail", "")),
        request_id=told.get("request_id") or request_id or find_request_id(),
        errors={each["field"]: each["message"] for each in told.get("errors", ())},
        members=told,
    )


def rename_errors(problem: Problem, names: Mapping[str, str]) -> Problem:
    """Name the fields of a problem as a form has them: by the first of `names` that one begins with. Pure.

    A beginning that ends with a dot is of a part of the form, in which the rest of the name stays.
    """
    return replace(problem, errors={_rename(name, names): told for name, told in problem.errors.items()})


def _rename(name: str, names: Mapping[str, str]) -> str:
    begin = next((begin for begin in names if name.startswith(begin)), None)
    if begin is None:
        return name
    return names[begin] + (name.removeprefix(begin) if begin.endswith(".") else "")
