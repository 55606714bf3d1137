"""Who speaks in a history: one API key each, at the application in this process, without a network between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
from fastapi import FastAPI


class HistoryFailed(Exception):
    """The broker answered something else than the history needs."""


class Refused(HistoryFailed):
    """The broker refused something that a customer may well try: it is over budget, say."""


@asynccontextmanager
async def connect(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Connect to the application for all who speak to it."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://history", trust_env=False) as http:
        yield http


@dataclass(frozen=True)
class Voice:
    """One API key, or one run token, at the application."""

    http: httpx.AsyncClient
    key: str

    async def get(self, path: str, **params: Any) -> Any:
        return await self._ask("GET", path, params={name: each for name, each in params.items() if each is not None})

    async def list_all(self, path: str, **params: Any) -> list[Any]:
        """List every object of a list route, page by page."""
        rows: list[Any] = []
        cursor = None
        while True:
            page = await self.get(path, limit=100, cursor=cursor, **params)
            rows += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return rows

    async def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """Post a body as JSON, or what the options say. Raises: Refused, HistoryFailed."""
        return await self._ask("POST", path, **(options or {"json": {} if body is None else body}))

    async def patch(self, path: str, body: Any) -> Any:
        return await self._ask("PATCH", path, json=body)

    async def put(self, path: str, content: bytes, **headers: str) -> Any:
        return await self._ask("PUT", path, content=content, headers=headers)

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {self.key}"}
        answer = await self.http.request(method, f"/v1{path}", headers=headers, **options)
        if answer.is_success:
            return answer.json()
        told = f"{method} {path} {options.get('json', '')}: {answer.status_code} {answer.text}"
        refused = answer.status_code in {httpx.codes.PAYMENT_REQUIRED, httpx.codes.CONFLICT}
        raise Refused(told) if refused else HistoryFailed(told)
