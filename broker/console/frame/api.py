"""Forms write through the REST API of this very process: no socket, and one door for rules, audit and problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
from fastapi import Request

from broker.console.frame.problem import Problem, parse_problem
from broker.http.access import HEADER as REQUEST_ID_HEADER
from broker.http.access import find_request_id
from broker.http.idempotency import HEADER as KEY_HEADER
from broker.http.in_process import open_client
from broker.http.versions import ETAG
from broker.http.versions import HEADER as VERSION_HEADER


@dataclass(frozen=True)
class Answer:
    """What the API answered: its JSON, or the problem where it refused; `version` is what is seen by it (`ETag`)."""

    status: int
    body: Any
    problem: Problem | None
    content: bytes
    media_type: str
    version: str | None = None


async def ask_api(
    request: Request,
    token: str,
    method: str,
    path: str,
    json: Any = None,
    *,
    key: str | None = None,
    seen: str | None = None,
    params: Mapping[str, str] | None = None,
    files: Any = None,
    data: Mapping[str, str] | None = None,
) -> Answer:
    """Ask the API as the bearer of a token. It opens transactions of its own: the page must have none open.

    `seen`: the version (`ETag`) of what is changed that the form was filled in for; where it has changed since, the API
    refuses. The lines that it logs carry the id of the page's request. What a form or an address names is quoted: it
    cannot end the path, and a key of any letters goes into a header.
    """
    headers = {"Authorization": f"Bearer {token}"}
    if key is not None:
        headers[KEY_HEADER] = quote(key)
    if seen:
        headers[VERSION_HEADER] = seen
    if (request_id := find_request_id()) is not None:
        headers[REQUEST_ID_HEADER] = request_id
    async with open_client(request, headers) as client:
        answered = await client.request(
            method, quote(path, safe="/%"), json=json, params=params, files=files, data=data
        )
    return _read_answer(answered)


def _read_answer(answered: httpx.Response) -> Answer:
    media_type = answered.headers.get("content-type", "")
    problem = None
    if answered.status_code >= 400:
        problem = parse_problem(answered.status_code, answered.content, answered.headers.get(REQUEST_ID_HEADER))
    is_json = problem is None and media_type.startswith("application/json") and answered.content
    body = answered.json() if is_json else None
    return Answer(answered.status_code, body, problem, answered.content, media_type, answered.headers.get(ETAG))
