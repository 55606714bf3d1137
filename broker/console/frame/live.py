"""Live pages: one stream for a page, which sends the panels that have changed since, and a heartbeat.

Each look asks for the page itself, in process, as the session that follows it: roles, tenancy and the session's end are
the page's own. What is sent is the state of a panel, not what happened; so the id of an event is the digests of all
panels, and who comes back with it as `Last-Event-ID` gets those that are not as it has them.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated
from weakref import WeakValueDictionary

from fastapi import Header, Query, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from markupsafe import Markup

from broker import errors
from broker.console.frame.page import LIVE, OVER_HEADER, PARTS_HEADER, PREFIX, AnyPage, Page, is_passing, page_router
from broker.http.in_process import open_client
from broker.http.leaving import Leaving
from broker.http.shares import STAFF_SHARE

LOOK_SECONDS = 2.0
# A look costs as much as the page: where many are followed, each is looked at less often, but before it is called
# paused (console.js).
MOST_LOOKS_PER_SECOND = 30
LONGEST_SECONDS = 900.0
MOST_OF_ONE, MOST_OF_ALL = 12, 200
MOST_PARTS = 8
LONGEST_ADDRESS = 4096
PART = re.compile("[a-z0-9_-]{1,64}")
DIGEST_LENGTH = 8

router = page_router()


@dataclass(frozen=True)
class Look:
    """What a look has found: the panels as they are; whether nothing will change any more; or that nobody may look.

    `parts` is None where the page could not be read at the moment, or is not this person's any more (`is_lost`).
    """

    parts: Mapping[str, str] | None
    is_over: bool = False
    is_lost: bool = False


@dataclass
class Streams:
    """The streams that this process serves, by whom they are for."""

    open: Counter[str] = field(default_factory=Counter)
    # One look at a time for a tenant, and for all of staff: pages that are asked for find a connection, too.
    turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def require_room(self, owner: str) -> None:
        """Refuse another stream where too many are open. Raises: Busy, TooManyAtOnce."""
        if self.open[owner] >= MOST_OF_ONE:
            raise errors.TooManyAtOnce(f"{MOST_OF_ONE} live pages of yours are open already.", retry_after_seconds=10)
        if self.open.total() >= MOST_OF_ALL:
            raise errors.Busy("As many live pages are open as this process serves.", retry_after_seconds=10)

    def find_turn(self, tenant: str) -> asyncio.Lock:
        """Find the lock under which a tenant's streams look; it is there for as long as one of them is open."""
        return self.turns.setdefault(tenant, asyncio.Lock())

    def find_pause(self) -> float:
        """Find how many seconds a stream rests between two looks."""
        return max(LOOK_SECONDS, self.open.total() / MOST_LOOKS_PER_SECOND)

    @contextmanager
    def count(self, owner: str) -> Iterator[None]:
        """Count a stream for as long as the block lasts."""
        self.open[owner] += 1
        try:
            yield
        finally:
            self.open[owner] -= 1
            self.open += Counter()  # without those who have none


@router.get("/live")
async def stream_page(
    page: AnyPage,
    of: Annotated[str, Query(max_length=LONGEST_ADDRESS)],
    parts: str,
    last: Annotated[str, Header(alias="Last-Event-ID")] = "",
) -> Response:
    """Stream some panels of a page. Raises: InvalidRequest, Busy, TooManyAtOnce."""
    wanted = parts.split(",")
    if not of.startswith(f"{PREFIX}/") or of.startswith(LIVE) or not of.isprintable():
        raise errors.invalid_field("of", "is no page of the console")
    if not all(PART.fullmatch(each) for each in wanted):
        raise errors.invalid_field("parts", "are ids of panels, between commas")
    if len(wanted) > MOST_PARTS:
        raise errors.invalid_field("parts", f"has more than {MOST_PARTS}")
    streams: Streams = page.request.app.state.console_streams
    owner = page.caller.actor.id
    streams.require_room(owner)
    turn = streams.find_turn(page.caller.actor.customer_id or STAFF_SHARE)

    async def look() -> Look:
        async with turn:
            return await look_at(page, of, wanted)

    leaving: Leaving = page.request.app.state.leaving

    async def stream() -> AsyncIterator[bytes]:
        with streams.count(owner):
            async for event in follow(look, wanted, last, streams.find_pause, leaving):
                yield event

    return EventSourceResponse(stream(), headers={"X-Accel-Buffering": "no"})


async def look_at(page: Page, address: str, parts: Sequence[str]) -> Look:
    """Look at panels of a page, as the person who follows it."""
    headers = {"Cookie": page.request.headers.get("cookie", ""), PARTS_HEADER: ",".join(parts)}
    headers["Accept-Language"] = page.preferences.tag
    async with open_client(page.request, headers) as client:
        answered = await client.get(address)
    if PARTS_HEADER in answered.headers:
        return Look(answered.json(), is_over=OVER_HEADER in answered.headers)
    if is_passing(answered.status_code):
        return Look(None)
    return Look(None, is_lost=True)


async def follow(
    look: Callable[[], Awaitable[Look]],
    parts: Sequence[str],
    last: str,
    find_pause: Callable[[], float],
    leaving: Leaving,
) -> AsyncIterator[bytes]:
    """Send the panels that change, a heartbeat with each look that has succeeded, and in the end that it is over.

    Where it is lost, the page must not be taken for one that is as it will stay: it says that it is paused, and how old
    it is. It ends after a while, too, and where the process leaves, without saying that it is over: then the browser
    comes back.
    """
    known = dict(zip(parts, last.split("."), strict=False))
    ends_at = asyncio.get_running_loop().time() + LONGEST_SECONDS
    while asyncio.get_running_loop().time() < ends_at and not leaving.ends_streams:
        found = await look()
        if found.parts is not None:
            changed = {each: html for each, html in found.parts.items() if known.get(each) != digest(html)}
            known |= {each: digest(html) for each, html in found.parts.items()}
            if changed:
                yield format_sse_event(
                    data_str=write_parts(changed), id=".".join(known.get(each, "") for each in parts)
                )
            yield format_sse_event(event="alive", data_str="")
        if found.is_over or found.is_lost:
            yield format_sse_event(event="over", data_str="lost" if found.is_lost else "")
            return
        await leaving.rest(find_pause())


def write_parts(parts: Mapping[str, str]) -> str:
    """Write panels so that each takes the place of the one of its id; what has not changed in it stays as it is."""
    return "".join(
        Markup('<hx-partial hx-target="#{}" hx-swap="outerMorph">{}</hx-partial>').format(name, Markup(html))  # noqa: S704
        for name, html in parts.items()
    )


def digest(html: str) -> str:
    return hashlib.sha256(html.encode()).hexdigest()[:DIGEST_LENGTH]
