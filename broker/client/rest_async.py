"""REST for programs that await: the same exchange as `rest`, on one event loop."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2 as httpx

from broker.client.exchange import (
    COUNTING,
    NOTHING_MORE,
    RESUME_PAUSES,
    RETRY_PAUSES,
    Attempts,
    Listening,
    leave_out_unknown,
    make_headers,
    require_success,
)
from broker.client.objects.values import Page
from broker.client.transfers import Download, Progress, open_parts

__all__ = ["COUNTING", "AsyncClient"]

Item = TypeVar("Item")


@dataclass
class AsyncClient:
    """One API key at one broker, for `async with`; all else is as with `Client`.

    Every POST carries an Idempotency-Key, so that one whose answer got lost is sent again without being done twice.
    Each call raises: ApiError, NotReachable.
    """

    url: str
    api_key: str
    timeout_seconds: float = 60
    retry_pauses: Sequence[float] = RETRY_PAUSES
    language: str | None = None
    resume_pauses: Sequence[float] = RESUME_PAUSES

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(
            base_url=self.url,
            headers=make_headers(self.api_key, self.language),
            timeout=self.timeout_seconds,
            verify=self.url.startswith("https:"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self.http.aclose()

    async def get(self, path: str, **params: Any) -> Any:
        """Get an object or a page of a list; a parameter that is None is left out."""
        return (await self._get(path, params)).json()

    async def get_text(self, path: str, **params: Any) -> str:
        """Get an answer as text, such as CSV."""
        return str((await self._get(path, params)).text)

    async def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Any:
        """Post a body under a new Idempotency-Key, or the given one."""
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        response = await self._send(lambda: self.http.post(f"/v1{path}", json=dict(body or {}), headers=headers))
        return response.json()

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change an object."""
        return (await self._send(lambda: self.http.patch(f"/v1{path}", json=dict(body)))).json()

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Say how an object is from now on."""
        return (await self._send(lambda: self.http.put(f"/v1{path}", json=dict(body)))).json()

    async def delete(self, path: str) -> Any:
        """Delete an object; returns what is answered, if anything."""
        response = await self._send(lambda: self.http.delete(f"/v1{path}"))
        return response.json() if response.content else None

    async def post_files(
        self,
        path: str,
        files: Sequence[Path],
        fields: Mapping[str, str],
        *,
        name: str = "files",
        progress: Progress | None = None,
    ) -> Any:
        """Post files as a form, each under this name, read piece by piece. Raises also: OSError."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}

        async def send() -> httpx.Response:
            with open_parts(files, name, progress) as parts:
                return await self.http.post(f"/v1{path}", files=parts, data=dict(fields), headers=headers)

        return (await self._send(send)).json()

    async def upload_dataset(
        self,
        paths: Sequence[Path],
        *,
        name: str | None = None,
        customer_id: str | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Send files as one data set; `customer_id` is needed with a staff key. Raises also: OSError."""
        fields = leave_out_unknown({"name": name, "customer_id": customer_id})
        return await self.post_files("/datasets", paths, fields, progress=progress)

    async def download(self, path: str, target: Path, *, progress: Progress | None = None) -> Path:
        """Write a download to a file, whole and with the hash that the broker tells, or not at all.

        Where the line breaks it goes on from there. Raises also: DamagedDownload, OSError.
        """
        with Download(target, progress) as download:

            async def fetch() -> httpx.Response:
                async with self.http.stream("GET", f"/v1{path}", headers=download.headers) as response:
                    if response.is_error:
                        await response.aread()
                        return response
                    with download.receive(response) as take:
                        async for piece in response.aiter_bytes():
                            take(piece)
                    return response

            await self._send(fetch, download.has_grown)
            return download.finish()

    async def stream(
        self, path: str, *, last_event_id: str | None = None, **params: Any
    ) -> AsyncIterator[httpx.ServerSentEvent]:
        """Hear the events of a list as they come, until the broker says that there are no more.

        A line that breaks, or a broker that restarts, is waited for; it goes on behind the last event that was heard.
        """
        listening = Listening(self.url, self.resume_pauses, last_event_id)
        known = leave_out_unknown(params)
        while True:
            try:
                async with self.http.sse(f"/v1{path}", params=known, headers=listening.headers) as source:
                    if source.response.status_code == NOTHING_MORE:
                        return
                    if source.response.is_error:
                        await source.response.aread()
                    pause = listening.judge(source.response)
                    if pause is None:
                        async for event in source:
                            listening.hear(event)
                            yield event
                        pause = listening.end()
            except httpx.TransportError as error:
                pause = listening.attempts.outlast(error)
            await asyncio.sleep(pause)

    async def iterate(self, list_page: Callable[..., Awaitable[Page[Item]]], **wanted: Any) -> AsyncIterator[Item]:
        """Go through every object of a list, page by page: `client.iterate(client.list_jobs, status="running")`."""
        cursor = None
        while True:
            page = await list_page(**{"limit": 100, **wanted}, cursor=cursor)
            for item in page["data"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def list_all(self, path: str, **params: Any) -> AsyncIterator[Any]:
        """List every object of a list by its path, page by page."""
        return self.iterate(lambda **page: self.get(path, **page), **params)

    async def get_whole(self, path: str) -> Any:
        """Get a list with all its pages in one: the first page's other members, and everybody's `data`."""
        whole = page = await self.get(path)
        while page.get("next_cursor"):
            page = await self.get(path, cursor=page["next_cursor"])
            whole["data"] += page["data"]
            whole["next_cursor"] = page.get("next_cursor")
        return whole

    async def _get(self, path: str, params: Mapping[str, Any]) -> httpx.Response:
        known = leave_out_unknown(params)
        return await self._send(lambda: self.http.get(f"/v1{path}", params=known))

    async def _send(
        self, request: Callable[[], Awaitable[httpx.Response]], has_grown: Callable[[], bool] = lambda: False
    ) -> httpx.Response:
        """Send a request, again after a while where that may help; every request here can be sent twice.

        One of which there is more than before when the line breaks has all its tries again.
        """
        attempts = Attempts(self.url, self.retry_pauses)
        while True:
            try:
                response = await request()
            except httpx.TransportError as error:
                if has_grown():
                    attempts.renew()
                pause: float | None = attempts.outlast(error)
            else:
                pause = attempts.judge(response)
            if pause is None:
                return require_success(response)
            await asyncio.sleep(pause)
