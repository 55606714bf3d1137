"""Live pages: what changed is sent, what did not is not, and a stream ends with its page and with its session."""

import re
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack

import pytest
from fastapi import Request

from broker import errors
from broker.console.frame.files import link_file
from broker.console.frame.live import MOST_OF_ALL, MOST_OF_ONE, Look, Streams, digest, follow, look_at
from broker.console.frame.page import PARTS_HEADER, Page, open_page
from broker.http.leaving import Leaving
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.console.ops.floor import make_floor
from tests.broker.console.people import Person, sign_in_staff, visit
from tests.broker.factories import Api

PARTS = ("a", "b")


async def listen(looks: Sequence[Look], last: str = "", leaving: Leaving | None = None) -> list[str]:
    """Follow a page through these looks; returns what was sent, each event in one line."""
    waiting, process = iter(looks), leaving or Leaving()

    async def look() -> Look:
        return next(waiting)

    heard = follow(look, PARTS, last, lambda: 0, process)
    return [" | ".join(event.decode().split("\n")).strip(" |") async for event in heard]


def sent_parts(events: Iterable[str]) -> list[list[str]]:
    return [re.findall('hx-target="#(.)"', each) for each in events if "hx-partial" in each]


OVER = Look({"a": "1", "b": "2"}, is_over=True)


async def test_a_page_is_followed_no_longer_than_its_process_stays() -> None:
    """It does not say that it is over: the browser comes back, to another process."""
    leaving = Leaving()
    leaving.end_streams()
    assert await listen([], leaving=leaving) == []


async def test_the_first_look_sends_all_and_later_ones_what_has_changed() -> None:
    looks = [Look({"a": "1", "b": "1"}), Look({"a": "1", "b": "1"}), Look({"a": "1", "b": "2"}), OVER]
    events = await listen(looks)
    assert sent_parts(events) == [["a", "b"], ["b"]]
    assert sum("event: alive" in each for each in events) == 4
    assert events[-1].startswith("event: over")


async def test_who_comes_back_gets_only_what_is_not_as_it_has_it() -> None:
    assert sent_parts(await listen([OVER], f"{digest('1')}.{digest('2')}")) == []
    assert sent_parts(await listen([OVER], f"{digest('1')}.{digest('x')}")) == [["b"]]
    assert sent_parts(await listen([OVER], "nonsense")) == [["a", "b"]]


async def test_the_id_of_an_event_is_what_a_browser_has_then() -> None:
    (first, *_rest) = await listen([OVER])
    assert f"id: {digest('1')}.{digest('2')}" in first


async def test_a_look_that_fails_has_no_heartbeat_and_ends_nothing() -> None:
    events = await listen([Look(None), Look(None), OVER])
    assert [each.partition(" | ")[0] for each in events[1:]] == ["event: alive", "event: over"]


def test_one_person_has_so_many_streams_and_no_more() -> None:
    streams = Streams()
    open_streams = [streams.count("key_1") for _ in range(MOST_OF_ONE)]
    for each in open_streams:
        streams.require_room("key_1")
        each.__enter__()
    with pytest.raises(errors.TooManyAtOnce):
        streams.require_room("key_1")
    streams.require_room("key_2")
    for each in open_streams:
        each.__exit__(None, None, None)
    streams.require_room("key_1")
    assert streams.open == {}


def test_the_streams_of_a_tenant_look_one_after_another() -> None:
    streams = Streams()
    turn = streams.find_turn("cus_1")
    assert streams.find_turn("cus_1") is turn
    assert streams.find_turn("cus_2") is not turn


def test_where_many_pages_are_followed_each_is_looked_at_less_often_but_before_it_is_called_paused() -> None:
    streams = Streams()
    assert streams.find_pause() == 2.0
    streams.open["key_1"] = MOST_OF_ALL
    assert 6.0 < streams.find_pause() < 7.0


async def test_a_stream_without_a_session_is_refused_and_leads_nowhere(api: Api) -> None:
    async with visit(api.app) as nobody:
        for part in (None, "live"):
            shown = await nobody.open("/console/live", of="/console/ops/pools", parts="map", part=part, expect=401)
            assert not {"location", "hx-redirect"} & set(shown.response.headers)


async def test_a_stream_ends_where_its_page_is_not_this_persons(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        shown = await person.open("/console/live", of="/console/finance/month", parts="main")
        assert shown.response.headers["content-type"].startswith("text/event-stream")
        assert shown.response.text == "event: over\ndata: lost\n\n"


async def test_what_is_no_page_of_the_console_is_not_followed(api: Api) -> None:
    async with sign_in_staff(api, "ops") as person:
        for of in ("/v1/jobs", "https://elsewhere.example/console/", "/console/live?of=x&parts=y"):
            shown = await person.open("/console/live", of=of, parts="a", expect=422)
            assert "is no page of the console" in shown.text
        for of, parts in (
            ("pools", ",".join("abcdefghi")),
            ("pools", "map,"),
            ("pools", "训练"),
            ("x" * 5000, "map"),
            ("\n", "map"),
        ):
            await person.open("/console/live", of=f"/console/ops/{of}", parts=parts, expect=422)


@pytest.mark.parametrize(
    "of", ["/console/sign-in", link_file("console.js"), "/console/%6cive?of=/console/ops/pools&parts=map"]
)
async def test_a_stream_of_what_has_no_panels_ends_and_reads_nothing_of_it(api: Api, of: str) -> None:
    async with sign_in_staff(api, "ops") as person:
        shown = await person.open("/console/live", of=of, parts="map")
        assert shown.response.text == "event: over\ndata: lost\n\n"


@pytest.mark.parametrize(
    ("error", "look"),
    [
        (errors.TooManyAtOnce("Busy."), Look(None)),
        (errors.Busy("Busy."), Look(None)),
        (errors.NotFound("page", "x"), Look(None, is_lost=True)),
    ],
)
async def test_a_look_that_had_no_turn_is_tried_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: errors.DomainError, look: Look
) -> None:
    async def refuse(_page: Page) -> None:
        raise error

    async with sign_in_staff(api, "ops") as person:
        await person.open("/console/ops/pools")
        cookie = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
        scope = {"type": "http", "app": api.app, "method": "GET", "path": "/", "query_string": b"", "scheme": "http"}
        request = Request({**scope, "headers": [(b"host", b"localhost"), (b"cookie", cookie.encode())]})
        async with AsyncExitStack() as stack:
            page = await open_page(request, stack)
        monkeypatch.setattr(Page, "begin", refuse)
        assert await look_at(page, "/console/ops/pools", ["map"]) == look


LIVE_PANELS = {"home": "needs", "pools": "map", "agents": "agents", "queues": "queues", "shares": "standings"}


async def test_a_panel_in_which_nothing_has_changed_is_not_sent_again(
    api: Api, system: System, clock: ManualClock
) -> None:
    await make_floor(api, system, clock)
    clock.advance(hours=3, seconds=10)  # who waits or was last heard of is told in hours then
    async with sign_in_staff(api, "ops") as person:
        for page, part in LIVE_PANELS.items():
            first, later = [await _look(person, page, part, clock) for _ in range(2)]
            assert first == later, page


async def _look(person: Person, page: str, part: str, clock: ManualClock) -> str:
    clock.advance(seconds=2)
    response = await person.http.get(f"/console/ops/{page}", headers={PARTS_HEADER: part})
    return str(response.json()[part])
