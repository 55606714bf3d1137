"""Asks the REST API of this very process as the bearer of a foreign client's request: no socket between."""

import hashlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
from fastapi import Request, Response

from broker.http.access import HEADER as REQUEST_ID_HEADER
from broker.http.access import find_request_id
from broker.http.caller import Caller
from broker.http.edge import identify
from broker.http.idempotency import HEADER as KEY_HEADER
from broker.http.idempotency import find_kept_answer
from broker.http.in_process import open_client
from broker.http.repeats import REPEATED_WITHIN, find_order_key
from broker.work import Work

RETRY_HEADER = "x-stainless-retry-count"
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")  # of an object or a base model


@dataclass
class Refused(Exception):
    """The REST API refused; `members` is its problem: `type`, `title`, `detail`, and `errors` by field."""

    status: int
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Broker:
    """The REST API, as the bearer of one request, or as another one that the request stands for."""

    request: Request
    authorization: str | None = None

    async def get(self, path: str, **params: Any) -> Any:
        """Get the JSON of a path below /v1. Raises: Refused."""
        given = {name: str(value) for name, value in params.items() if value is not None}
        return (await self.send("GET", path, params=given)).json()

    async def post(self, path: str, body: Any = None, *, key: str | None = None, **options: Any) -> Any:
        """Post to a path below /v1, with an idempotency key where one is given. Raises: Refused."""
        headers = {} if key is None else {KEY_HEADER: key}
        return (await self.send("POST", path, json=body, headers=headers, **options)).json()

    async def find_adapter_config(self, adapter_id: str) -> dict[str, Any] | None:
        """Find peft's configuration of an adapter; None where its file tells none. Raises: Refused."""
        try:
            config: dict[str, Any] = await self.get(f"/adapters/{adapter_id}/config")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return config

    async def find_max_cost(self) -> str | None:
        """Find what a job of the bearer's key may cost where the order says nothing, in yuan; None: nothing is said."""
        most = (await self.get("/whoami"))["api_key"]["max_cost"]
        return None if most is None else str(most["amount"])

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """Send a request to a path below /v1. Raises: Refused."""
        sent = {**self._list_headers(), **(headers or {})}
        async with open_client(self.request, sent) as client:
            answer = await client.request(method, f"/v1{quote(path)}", **options)
        if answer.is_error:
            raise Refused(answer.status_code, _read_members(answer), answer.headers)
        return answer

    def _list_headers(self) -> dict[str, str]:
        bearer, request_id = self.authorization or self.request.headers.get("authorization"), find_request_id()
        found = {"Authorization": bearer, REQUEST_ID_HEADER: request_id}
        return {name: value for name, value in found.items() if value is not None}


def _read_members(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        members = answer.json()
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


def is_repeated(request: Request) -> bool:
    """Tell whether a client sends a request again by itself, and says so as those of one generator all do."""
    return request.headers.get(RETRY_HEADER, "0") != "0"


async def find_order_key_of(
    request: Request, digest: str, *, is_repeated: bool, within: timedelta = REPEATED_WITHIN
) -> str:
    """Find the key under which an order is done: the client's own, or one that is noted (`http/repeats.py`).

    Raises: Unauthenticated, Busy.
    """
    own = request.headers.get(KEY_HEADER)
    if own is not None:
        return own
    async with _look(request) as work:
        return await find_order_key(work, digest, is_repeated=is_repeated, within=within)


async def find_answered(request: Request, key: str) -> Any:
    """Find what the REST API answered the bearer under an idempotency key; None where it did not. Raises: Busy."""
    async with _look(request) as work:
        kept = await find_kept_answer(work, key)
    return None if kept is None else json.loads(kept)


@asynccontextmanager
async def _look(request: Request) -> AsyncGenerator[Work]:
    """Open a short transaction as the bearer of a request."""
    state, actor = request.app.state, await identify(request)
    async with AsyncExitStack() as stack:
        caller = Caller(actor, state.services, state.database, state.turnstile, None, stack, _record_nothing)
        async with caller.look() as work:
            yield work


async def _record_nothing(_work: Work, _response: Response) -> None:
    """Record nothing: what is decided goes through the REST API, which records it."""


def make_digest(*parts: bytes) -> str:
    """Digest what is ordered: 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]


def require_name(name: str) -> str:
    """Require that what a client calls an id is one part of a path, and returns it. Raises: Refused."""
    if NAME.fullmatch(name) is None:
        raise Refused(404, {"detail": f"There is no {name[:100]!r}.", "type": "/problems/not-found"})
    return name


async def read_json(request: Request) -> dict[str, Any]:
    """Read the JSON object of a body that was checked (`http/body.py`). Raises: Refused, InvalidRequest."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        detail = "body: must be a JSON object"
        raise Refused(422, {"title": "The request is not valid.", "detail": detail, "errors": [{"field": "body"}]})
    return body
