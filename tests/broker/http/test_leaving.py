"""A process that leaves: what it says of itself, and what becomes of its streams."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import FastAPI

from broker.http.leaving import Leaving
from tests.broker.factories import Api, make_ready_customer, submit_job


async def test_process_that_leaves_says_that_it_is_not_ready_and_still_answers(app: FastAPI, api: Api) -> None:
    assert (await api.http.get("/readyz")).json() == {"status": "ready"}
    app.state.leaving.announce()
    answer = await api.http.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "leaving"})
    assert (await api.http.get("/healthz")).is_success
    await api.get("/customers")


class Pieces:
    """A stream of so many pieces, which then waits for ever, or ends."""

    def __init__(self, count: int, *, ends: bool) -> None:
        self.count, self.ends, self.is_closed = count, ends, False

    async def come(self) -> AsyncGenerator[int]:
        try:
            for number in range(self.count):
                yield number
            if not self.ends:
                await asyncio.Event().wait()
        finally:
            self.is_closed = True


async def test_stream_that_ends_by_itself_is_handed_on_whole() -> None:
    pieces = Pieces(3, ends=True)
    assert [piece async for piece in Leaving().cut(pieces.come())] == [0, 1, 2]
    assert pieces.is_closed


async def test_stream_ends_with_its_process_and_what_feeds_it_is_closed() -> None:
    leaving, pieces, seen = Leaving(), Pieces(2, ends=False), []
    async for piece in leaving.cut(pieces.come()):
        seen.append(piece)
        if piece == 1:
            leaving.end_streams()
    assert seen == [0, 1]
    assert pieces.is_closed


async def test_client_that_hangs_up_closes_what_feeds_its_stream() -> None:
    pieces = Pieces(2, ends=False)
    cut = Leaving().cut(pieces.come())
    assert await anext(cut) == 0
    await cut.aclose()
    assert pieces.is_closed


async def test_events_of_a_job_are_followed_until_the_process_leaves(app: FastAPI, api: Api) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    asking = asyncio.create_task(
        api.http.get(f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"}, timeout=30)
    )
    while not app.state.event_feed.followers:  # noqa: ASYNC110 (nobody tells it)
        await asyncio.sleep(0.01)
    app.state.leaving.end_streams()
    await asking
    assert app.state.event_feed.followers == set()
