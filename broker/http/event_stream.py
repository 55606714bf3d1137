"""Server-sent events: a list that is asked for as `text/event-stream` goes on as it grows."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import StreamingResponse

from broker.http.shapes import Whole

MEDIA_TYPE = "text/event-stream"
QUIET = ": nothing new\n\n"  # a comment, which keeps proxies from closing what looks idle
# The body is not to be kept by a cache, nor held back by a proxy until it is long.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        "description": "One page as JSON; or, with `Accept: text/event-stream`, all of them as they come.",
    },
    204: {"description": "A stream was asked for, and nothing comes any more."},
}


async def _wants_stream(request: Request) -> bool:
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return MEDIA_TYPE in accepted


# Whether a client asks for a stream rather than a page; and the event that it heard last, where it comes back.
StreamWanted = Annotated[bool, Depends(_wants_stream)]
LastEventId = Annotated[
    Whole | None, Header(alias="Last-Event-ID", description="Of a stream: only events behind this one.", examples=[17])
]


def write_event(event_id: int, kind: str, data: str) -> str:
    """Write one event; `data` is JSON on one line."""
    return f"id: {event_id}\nevent: {kind}\ndata: {data}\n\n"


def answer_stream(lines: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(lines, media_type=MEDIA_TYPE, headers=HEADERS)
