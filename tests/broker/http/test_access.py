"""The access line and the request id."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import OperationalError
from starlette.types import Message

from broker.http.caller import Caller
from tests.broker.factories import Api, make_customer, make_ready_customer, submit_job

LOGGER = "broker.http.access"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str, int]]:
    return [
        (record.levelno, record.getMessage(), record.__dict__["status"])
        for record in caplog.records
        if record.name == LOGGER
    ]


async def test_each_request_has_a_line_with_its_status(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await make_customer(api)
    await api.call("GET", "/jobs/job_x", expect=404)
    assert lines(caplog) == [
        (logging.INFO, "POST /v1/customers", 201),
        (logging.INFO, "GET /v1/jobs/job_x", 404),
    ]


async def test_what_comes_every_few_seconds_is_told_on_demand_only(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    for path in ("/healthz", "/metrics"):
        await api.http.get(path)
    assert [level for level, _line, _status in lines(caplog)] == [logging.DEBUG] * 2


async def test_request_id_is_made_or_taken_and_given_back(api: Api) -> None:
    made = [(await api.call("GET", "/customers")).headers["X-Request-Id"] for _ in range(2)]
    assert made[0] != made[1]
    assert all(request_id.startswith("req_") for request_id in made)
    given = await api.call("GET", "/customers", headers={"X-Request-Id": "trace-7"})
    assert given.headers["X-Request-Id"] == "trace-7"


@pytest.mark.parametrize("unfit", ["", "a b", "x" * 65, "naïve", '"}'])
async def test_request_id_that_could_forge_a_line_is_replaced(api: Api, unfit: str) -> None:
    answer = await api.call("GET", "/customers", headers={"X-Request-Id": unfit.encode()})
    assert answer.headers["X-Request-Id"].startswith("req_")


async def test_unexpected_error_tells_its_request_id(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/broken")
    async def fail() -> None:
        raise RuntimeError("our own fault")

    async with Api.connect(app, "none") as api:
        answer = await api.http.get("/broken", headers={"X-Request-Id": "trace-8"})
    assert answer.status_code == 500
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "trace-8"
    assert (logging.WARNING, "GET /broken", 500) in lines(caplog)


async def test_what_happens_to_a_job_is_told(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """A past fault: the log was silent about every decision."""
    customer = await make_ready_customer(api)
    caplog.set_level(logging.INFO, "broker.jobs.events")
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await api.post(f"/jobs/{job['id']}/cancel")
    told = [record for record in caplog.records if record.name == "broker.jobs.events"]
    assert [record.getMessage() for record in told] == [f"{job['id']} submitted", f"{job['id']} cancelled"]
    assert {record.__dict__["job_id"] for record in told} == {job["id"]}


async def test_status_of_a_problem_is_a_plain_number(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """A past fault: the log said "status=<HTTPStatus.NOT_FOUND: 404>"."""
    caplog.set_level(logging.INFO)
    await api.get("/jobs/job_1", expect=404)
    assert [repr(status) for _level, _line, status in lines(caplog)] == ["404"]


async def test_an_answer_that_its_database_cuts_short_is_told_in_a_line(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    """What has begun cannot become a problem any more: its connection closes, and no traceback calls it our mistake."""

    async def write(error: Exception) -> AsyncIterator[bytes]:
        yield b"first rows\n"
        raise error

    @app.get("/export")
    async def export(away: bool) -> StreamingResponse:
        away_now = OperationalError(None, None, psycopg.OperationalError("it is away"))
        return StreamingResponse(write(away_now if away else KeyError("ours")))

    received: list[Message] = []

    async def ask(away: str) -> None:
        scope = {"type": "http", "method": "GET", "path": "/export", "headers": [], "query_string": away.encode()}
        waiting = asyncio.Event()

        async def receive() -> Message:
            await waiting.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            received.append(message)

        await app({**scope, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"}, receive, send)

    await ask("away=true")
    assert received[-1].get("more_body") is True, "it is not told to be whole"
    told = [record for record in caplog.records if "cut short" in record.getMessage()]
    assert [(record.getMessage(), record.exc_info) for record in told] == [
        ("GET /export was cut short: it is away", None)
    ]
    with pytest.raises(KeyError):
        await ask("away=false")


async def test_what_a_request_held_is_freed_when_it_is_answered_and_not_by_the_garbage_collector(api: Api) -> None:
    ready = await make_ready_customer(api)
    gc.collect()
    gc.disable()
    try:
        await submit_job(api, ready.dataset["id"], customer_id=ready.id)
        await api.call("GET", "/customers")
        assert not [held for held in gc.get_objects() if isinstance(held, Caller)]
    finally:
        gc.enable()
