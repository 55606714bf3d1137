"""Events of a job as a stream: those there are, those to come, and its end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from broker.jobs import routes
from broker.jobs.reading import event_feed
from broker.jobs.reading.event_feed import EventFeed
from tests.broker.factories import Api, customer_api, make_ready_customer, submit_job


class Listener:
    """A client that reads a stream as ASGI hands it over, and hangs up when it likes."""

    def __init__(self, app: FastAPI, key: str, path: str, **headers: str) -> None:
        self.app, self.path = app, path
        self.headers = {"authorization": key, "accept": "text/event-stream", **headers}
        self.start: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.parts: asyncio.Queue[str | None] = asyncio.Queue()
        self.asked, self.gone = False, asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.start.set_result(message)
        else:
            self.parts.put_nowait(message.get("body", b"").decode())
            if not message.get("more_body"):
                self.parts.put_nowait(None)

    async def listen(self) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in self.headers.items()],
            "server": ("broker", 80),
            "client": ("test", 1),
        }
        await self.app(scope, self.receive, self.send)  # type: ignore[arg-type]

    async def next_event(self) -> dict[str, Any] | None:
        """Wait for the next event; None where the stream has ended."""
        while (part := await asyncio.wait_for(self.parts.get(), 20)) is not None:
            fields = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":") and line)
            if fields:
                return {**fields, "data": json.loads(fields["data"])}
        return None


@asynccontextmanager
async def listening(api: Api, job_id: str, **headers: str) -> AsyncIterator[Listener]:
    listener = Listener(api.app, api.http.headers["authorization"], f"/v1/jobs/{job_id}/events", **headers)
    task = asyncio.create_task(listener.listen())
    yield listener
    listener.gone.set()
    await asyncio.wait_for(task, 20)


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "LOOK_SECONDS", 0.02)


@pytest.fixture
async def job(api: Api) -> Any:
    customer = await make_ready_customer(api)
    return await submit_job(api, customer.dataset["id"], customer_id=customer.id)


async def test_stream_has_what_was_and_what_comes_and_ends_with_the_job(api: Api, job: Any) -> None:
    async with listening(api, job["id"]) as listener:
        first = await listener.next_event()
        assert first is not None
        assert (first["event"], first["data"]["job_id"]) == ("submitted", job["id"])
        await api.post(f"/jobs/{job['id']}/pause")
        paused = await listener.next_event()
        assert paused is not None
        assert paused["event"] == "paused"
        assert int(paused["id"]) == paused["data"]["id"] > int(first["id"])
        await api.post(f"/jobs/{job['id']}/cancel")
        cancelled = await listener.next_event()
        assert cancelled is not None
        assert cancelled["event"] == "cancelled"
        assert await listener.next_event() is None
    headers = dict((await listener.start)["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")


async def test_client_that_comes_back_hears_only_what_it_has_missed(api: Api, job: Any) -> None:
    (submitted,) = (await api.get(f"/jobs/{job['id']}/events"))["data"]
    await api.post(f"/jobs/{job['id']}/pause")
    async with listening(api, job["id"], **{"last-event-id": str(submitted["id"])}) as listener:
        event = await listener.next_event()
        assert event is not None
        assert event["event"] == "paused"


async def test_client_that_has_heard_the_end_is_told_to_stay_away(api: Api, job: Any) -> None:
    await api.post(f"/jobs/{job['id']}/cancel")
    last = (await api.get(f"/jobs/{job['id']}/events"))["data"][-1]["id"]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
    assert (await api.call("GET", f"/jobs/{job['id']}/events", headers=headers)).status_code == 204


async def test_several_follow_one_job_each_from_where_it_was(api: Api, job: Any) -> None:
    await api.post(f"/jobs/{job['id']}/pause")
    ids = [event["id"] for event in (await api.get(f"/jobs/{job['id']}/events"))["data"]]
    async with (
        listening(api, job["id"]) as all_of_it,
        listening(api, job["id"], **{"last-event-id": str(ids[0])}) as rest,
    ):
        heard = [await all_of_it.next_event(), await all_of_it.next_event(), await rest.next_event()]
    assert [event and int(event["id"]) for event in heard] == [ids[0], ids[1], ids[1]]


async def test_client_that_hangs_up_is_followed_no_more(api: Api, job: Any) -> None:
    feed: EventFeed = api.app.state.event_feed
    async with listening(api, job["id"]) as listener:
        await listener.next_event()
        assert len(feed.followers) == 1
    assert feed.followers == set()


async def test_stream_ends_once_its_key_is_revoked(api: Api, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A past fault: it told of the job for a quarter of an hour more."""
    monkeypatch.setattr(event_feed, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(routes, "KEYS_LOOKED_AT_SECONDS", 0.0)
    made = await api.post(f"/customers/{job['customer_id']}/api-keys", {"name": "leaked"}, expect=201)
    async with Api.connect(api.app, made["key"]) as own, listening(own, job["id"]) as listener:
        assert await listener.next_event() is not None
        await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)
        assert await listener.next_event() is None


async def test_stream_of_another_tenants_job_is_not_found(api: Api, job: Any) -> None:
    other = await make_ready_customer(api)
    async with customer_api(api, other.id) as stranger:
        answer = await stranger.call("GET", f"/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 404


async def test_too_many_streams_of_one_tenant_are_refused(api: Api, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "MAX_OWN_FOLLOWERS", 1)
    async with listening(api, job["id"]) as listener:
        await listener.next_event()
        answer = await api.call("GET", f"/jobs/{job['id']}/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 429
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize("unfit", ["x", "-1", "9" * 19, "1.5"])
async def test_last_event_that_is_none_is_refused(api: Api, job: Any, unfit: str) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": unfit}
    problem = (await api.call("GET", f"/jobs/{job['id']}/events", expect=422, headers=headers)).json()
    assert problem["errors"][0]["field"] == "Last-Event-ID"


async def test_head_of_a_stream_ends(api: Api, job: Any) -> None:
    path = f"/v1/jobs/{job['id']}/events"
    answer = await asyncio.wait_for(api.http.head(path, headers={"Accept": "text/event-stream"}), 20)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
