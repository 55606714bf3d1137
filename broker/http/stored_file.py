"""Downloads of what is stored: the file itself where it lies on this machine, else streamed from where it lies."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from broker.http.raw_headers import find_header
from broker.persistence.storage import Storage

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def send_stored(
    storage: Storage,
    key: str,
    *,
    media_type: str = "application/octet-stream",
    filename: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send what is stored under a key, or the range of it that the request asks for."""
    path = storage.find_local(key)
    if path is not None:
        return FileResponse(path, media_type=media_type, filename=filename, headers=headers)
    told = dict(headers or {})
    if filename is not None:
        told["Content-Disposition"] = f"attachment; filename*=utf-8''{quote(filename)}"
    return StreamedResponse(_Stored(storage, key), media_type=media_type, headers=told)


class Streamed(Protocol):
    """What is sent from wherever it lies: `size` in bytes, 0 where it is not there."""

    async def size(self) -> int: ...

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True)
class _Stored:
    """An object of a storage."""

    storage: Storage
    key: str

    async def size(self) -> int:
        return await self.storage.size(self.key)

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        return self.storage.stream(self.key, start, end)


class StreamedResponse(Response):
    """What lies elsewhere, or in several places, streamed when it is sent."""

    def __init__(self, content: Streamed, *, media_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(media_type=media_type, headers=headers)
        self.streamed = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = await self.streamed.size()
        if not size:
            raise FileNotFoundError(f"nothing is there of {self.streamed}")
        wanted = find_range(find_header(scope, b"range"), size)
        start, end = wanted or (0, size)
        told = dict(self.headers) | {"content-length": str(end - start), "accept-ranges": "bytes"}
        if wanted is not None:
            told["content-range"] = f"bytes {start}-{end - 1}/{size}"
        content: Any = self.streamed.stream(start, end) if scope["method"] != "HEAD" else iter(())
        await StreamingResponse(content, 206 if wanted else 200, told)(scope, receive, send)


def find_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Find the one range of bytes that a request asks for, from its first to before its end; None for all of them.

    Source: RFC 9110, section 14: a range that cannot be met, or is none, may be passed over.
    """
    match = RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    return (start, end) if start < end else None
