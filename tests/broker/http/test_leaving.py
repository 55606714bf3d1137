"""A process that leaves: what it says of itself, and what becomes of its streams."""

import asyncio

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


async def test_streams_rest_between_two_pieces_and_no_longer_than_their_process_stays() -> None:
    leaving, told = Leaving(), list[str]()
    leaving.tell_at_end(lambda: told.append("end"))
    await leaving.rest(0.001)
    assert (leaving.ends_streams, told) == (False, [])
    resting = asyncio.create_task(leaving.rest(600))
    await asyncio.sleep(0)
    leaving.end_streams()
    await resting
    assert (leaving.ends_streams, told) == (True, ["end"])


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
