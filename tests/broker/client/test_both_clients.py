"""Whoever waits and whoever awaits get the same of the same answers: they share one core."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.client.errors import ApiError, NotReachable, RequestInvalid
from broker.client.typed import BrokerClient
from broker.client.typed_async import AsyncBrokerClient
from tests.broker.client import async_twin
from tests.broker.client.conftest import Script

Ask = Callable[..., Any]
STREAM = {"Content-Type": "text/event-stream"}


def waits(url: str, method: str, *given: Any, **named: Any) -> Any:
    """Ask by the client that waits; what it hands out is a list."""
    with BrokerClient(url, "lbk_x", retry_pauses=(0.0, 0.0), resume_pauses=(0.0, 0.0)) as client:
        answer = getattr(client, method)(*given, **named)
        return list(answer) if isinstance(answer, Iterator) else answer


def awaits(url: str, method: str, *given: Any, **named: Any) -> Any:
    """Ask by the client that awaits."""

    async def ask() -> Any:
        async with AsyncBrokerClient(url, "lbk_x", retry_pauses=(0.0, 0.0), resume_pauses=(0.0, 0.0)) as client:
            answer = getattr(client, method)(*given, **named)
            return [each async for each in answer] if isinstance(answer, AsyncIterator) else await answer

    return asyncio.run(ask())


@pytest.fixture(params=[waits, awaits], ids=["waits", "awaits"])
def ask(request: pytest.FixtureRequest, url: str) -> Ask:
    def ask_there(method: str, *given: Any, **named: Any) -> Any:
        return request.param(url, method, *given, **named)

    return ask_there


def test_the_client_that_awaits_is_what_the_other_one_makes() -> None:
    """Twins kept in step by hand are not: write it anew with `python -m tests.broker.client.async_twin`."""
    assert async_twin.TARGET.read_text(encoding="utf-8") == async_twin.make_twin()


def test_post_whose_answer_got_lost_is_sent_again_under_its_key(script: Script, ask: Ask) -> None:
    script.answers = [None, (503, b"{}"), (201, b'{"id": "job_1"}')]
    assert ask("submit_job", {"lora_rank": 8}, "dat_1")["id"] == "job_1"
    assert len({key for key, _body in script.seen}) == 1
    assert script.seen[0][0]


def test_refusal_names_its_class_its_fields_and_its_request(script: Script, ask: Ask) -> None:
    problem = {
        "type": "/problems/invalid-request",
        "title": "The request does not validate.",
        "errors": [{"field": "config.lora_rank", "message": "must be at least 1"}],
    }
    script.answers = [(422, json.dumps(problem).encode(), {"X-Request-Id": "req_7"})]
    with pytest.raises(RequestInvalid) as caught:
        ask("get_job", "job_1")
    assert caught.value.field_errors == {"config.lora_rank": "must be at least 1"}
    assert (caught.value.kind, caught.value.request_id) == ("invalid-request", "req_7")


def test_line_that_stays_broken_is_not_reachable(script: Script, ask: Ask) -> None:
    script.answers = [None, None, None]
    with pytest.raises(NotReachable):
        ask("whoami")


def test_list_is_gone_through_page_by_page(script: Script, ask: Ask) -> None:
    pages = [{"data": [1, 2], "next_cursor": "b"}, {"data": [3], "next_cursor": None}]
    script.answers = [(200, json.dumps(page).encode()) for page in pages]
    assert ask("list_all", "/jobs", status="running") == [1, 2, 3]
    assert [each["path"] for each in script.asked] == [
        "/v1/jobs?limit=100&status=running",
        "/v1/jobs?limit=100&status=running&cursor=b",
    ]


def test_stream_goes_on_behind_the_last_event_that_was_heard(script: Script, ask: Ask) -> None:
    """The line breaks within the second event; a restart answers 503; then comes what is new, and that was all."""
    first = b'id: 4\nevent: started\ndata: {"id": 4}\n\nid: 5\nevent: sampled\nda'
    script.answers = [
        (200, first, STREAM | {"Content-Length": "900"}),
        (503, b"{}"),
        (200, b': nothing new\n\nid: 5\nevent: sampled\ndata: {"id": 5}\n\n', STREAM),
        (204, b""),
    ]
    assert ask("follow_events", "job_1", after=3) == [{"id": 4}, {"id": 5}]
    assert [each["Last-Event-Id"] for each in script.asked] == ["3", "4", "4", "5"]


def test_stream_that_is_refused_is_an_error_at_once(script: Script, ask: Ask) -> None:
    script.answers = [(404, b'{"type": "/problems/not-found"}')]
    with pytest.raises(ApiError) as caught:
        ask("follow_events", "job_1")
    assert caught.value.kind == "not-found"


def test_download_goes_on_where_the_line_broke(script: Script, ask: Ask, tmp_path: Path) -> None:
    """Each piece that came renews the tries: a line that breaks more often than there are tries brings it all."""
    whole, head = b"0123456789", {"ETag": '"v1"'}
    script.answers = [
        (200, whole[:3], head | {"Content-Length": "10"}),
        *((206, whole[at : at + 2], head | {"Content-Length": str(10 - at)}) for at in (3, 5, 7)),
        (206, whole[9:], head),
    ]
    told: list[tuple[int, int | None]] = []
    target = ask("download_adapter", "ada_1", tmp_path / "a", progress=lambda done, total: told.append((done, total)))
    assert target.read_bytes() == whole
    assert [each.get("Range") for each in script.asked] == [None, *(f"bytes={at}-" for at in (3, 5, 7, 9))]
    assert {each.get("If-Range") for each in script.asked[1:]} == {'"v1"'}
    assert told[-1] == (10, 10)
    assert list(tmp_path.iterdir()) == [target]


def test_download_that_has_changed_meanwhile_begins_anew(script: Script, ask: Ask, tmp_path: Path) -> None:
    script.answers = [(200, b"old", {"ETag": '"v1"', "Content-Length": "9"}), (200, b"new one", {"ETag": '"v2"'})]
    assert ask("download_adapter", "ada_1", tmp_path / "a").read_bytes() == b"new one"


def test_upload_says_how_far_it_is_and_is_whole_when_sent_again(script: Script, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(b"rows" * 50_000)
    script.answers = [(503, b"{}"), (201, b'{"id": "dat_1"}')]
    told: list[int] = []
    ask("upload_dataset", [tmp_path / "train.jsonl"], progress=lambda sent, _total: told.append(sent))
    assert told[-1] == 200_000
    assert max(told) == 200_000
    assert len(script.seen) == 2
    assert all(b"rows" * 50_000 in body for _key, body in script.seen)


def test_job_is_watched_until_it_rests_and_a_restart_is_waited_for(script: Script, ask: Ask) -> None:
    running, paused = ({"id": "job_1", "status": status} for status in ("running", "paused"))
    script.answers = [(200, json.dumps(running).encode()), None, None, None, (200, json.dumps(paused).encode())]
    assert ask("wait_for_job", "job_1", poll_seconds=0.0) == paused
