"""One attempt: a request to a checked address, bounded in time and in what is read of its answer.

No redirect is followed: it would lead to an address that nobody has named.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Protocol
from urllib.parse import urlsplit

import httpcore2

import broker
from broker.addresses import CheckedBackend, Network, RefusedAddress

# The specification wants 15 to 30 s for connecting, sending and answering together.
LONGEST_SECONDS = 15.0
LONGEST_CONNECT_SECONDS = 10.0
MOST_ANSWER_BYTES = 1024
# So long the beginning of an answer is waited for once its status is there, where that alone decides.
LONGEST_READING_SECONDS = 2.0
GONE = 410


@dataclass(frozen=True)
class Answer:
    """What came of an attempt: a status and the beginning of its body, or why there is none."""

    status_code: int | None
    text: str | None = None
    error: str | None = None
    retry_after: timedelta = timedelta()

    @property
    def is_taken(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


@dataclass(frozen=True)
class Sent:
    """What is asked: a body of many bytes comes piece by piece, its length then stands in a header."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | AsyncIterator[bytes]


class Sender(Protocol):
    """What posts an event. It is called in no transaction, and raises nothing that a receiver can cause."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer: ...


class HttpSender:
    """Posts over HTTP/1.1, each attempt on a connection of its own: no customer's goes over another's."""

    def __init__(self, networks: Collection[Network], *, longest_seconds: float = LONGEST_SECONDS) -> None:
        self.networks, self.longest_seconds = networks, longest_seconds

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
        sent = Sent("POST", url, {"content-type": "application/json", **headers}, body)
        return await self.ask(sent, now, reading_seconds=LONGEST_READING_SECONDS)

    async def ask(
        self,
        sent: Sent,
        now: datetime,
        *,
        most_answer_bytes: int = MOST_ANSWER_BYTES,
        reading_seconds: float | None = None,
    ) -> Answer:
        """Send a request of any method; so much of its answer is read, and what comes within `reading_seconds`."""
        try:
            async with asyncio.timeout(self.longest_seconds):
                return await self._exchange(sent, now, most_answer_bytes, reading_seconds)
        except TimeoutError:
            return Answer(None, error=f"it did not answer within {self.longest_seconds:g} s")
        except RefusedAddress as refusal:
            return Answer(None, error=str(refusal))
        except (httpcore2.NetworkError, httpcore2.TimeoutException, ssl.SSLError) as fault:
            return Answer(None, error=_cut(f"no connection: {fault or type(fault).__name__}"))
        except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, UnicodeError, ValueError) as fault:
            return Answer(None, error=_cut(f"its answer is no HTTP: {fault}"))

    async def _exchange(
        self, sent: Sent, now: datetime, most_answer_bytes: int, reading_seconds: float | None
    ) -> Answer:
        backend = CheckedBackend(self.networks, encrypted=urlsplit(sent.url).scheme == "https")
        pool = httpcore2.AsyncConnectionPool(ssl_context=_make_context(), network_backend=backend, max_connections=1)
        headers = {"user-agent": f"lora-broker/{broker.__version__}", **sent.headers}
        all_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        limits = {"timeout": {"connect": LONGEST_CONNECT_SECONDS}}
        stream = pool.stream(sent.method, sent.url, headers=all_headers, content=sent.body, extensions=limits)
        async with pool, stream as response:
            told = {name.lower(): value for name, value in response.headers}
            text = await _read_beginning(response, most_answer_bytes, reading_seconds)
            error = None if 200 <= response.status < 300 else _describe(response.status)
            return Answer(response.status, text, error, read_retry_after(told.get(b"retry-after"), now))


@cache
def _make_context() -> ssl.SSLContext:
    """Make what checks certificates, once: that reads some hundred of them."""
    return httpcore2.default_ssl_context()


async def _read_beginning(response: httpcore2.Response, most_bytes: int, seconds: float | None) -> str:
    """Read the beginning of an answer; what comes after it is left where it is, and so is what does not come.

    Its status says whether the event was taken: a body that drips takes nothing back.
    """
    read = bytearray()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), contextlib.aclosing(response.aiter_stream()) as chunks:
            async for chunk in chunks:
                read += chunk
                if len(read) >= most_bytes:
                    break
    return bytes(read[:most_bytes]).decode("utf-8", errors="replace").replace("\x00", "�")


def _describe(status: int) -> str:
    if 300 <= status < 400:
        return f"it answered {status}: no redirect is followed, change the URL instead"
    return f"it answered {status}"


def _cut(words: str) -> str:
    return words[:300].replace("\x00", "�")


def read_retry_after(value: bytes | None, now: datetime) -> timedelta:
    """Read when a receiver wants the next attempt, in seconds or as a date; nothing where it says nothing readable."""
    text = (value or b"").decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text), 10**6))
    try:
        return max(parsedate_to_datetime(text) - now, timedelta())
    except (ValueError, TypeError, OverflowError):
        return timedelta()
