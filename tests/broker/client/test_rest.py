"""The client against a server that fails as lines and brokers do: what is sent again, and what is told."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.client.errors import ApiError, DamagedDownload, NotReachable
from broker.client.rest import Client
from broker.client.typed import BrokerClient
from tests.broker.client.conftest import Answer, Script
from tests.broker.served import free_port


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, "lbk_x", retry_pauses=(0.0, 0.0)) as client:
        yield client


OK: Answer = (200, b'{"id": "job_1"}')


@pytest.mark.parametrize("first", [None, (503, b"{}"), (429, b"{}")])
def test_post_whose_answer_got_lost_is_sent_again_under_its_key(script: Script, client: Client, first: Answer) -> None:
    script.answers = [first, OK]
    assert client.post("/jobs", {"a": 1}) == {"id": "job_1"}
    once, again = script.seen
    assert once == again
    assert once[0]


def test_files_are_sent_again_whole(script: Script, client: Client, tmp_path: Path) -> None:
    script.answers = [None, OK]
    (tmp_path / "train.jsonl").write_bytes(b"rows")
    client.upload_dataset([tmp_path / "train.jsonl"])
    assert [b"rows" in body for _key, body in script.seen] == [True, True]
    assert script.seen[0][0] == script.seen[1][0]


def test_refusal_is_not_sent_again_and_has_its_fields(script: Script, client: Client) -> None:
    problem = {
        "type": "/problems/invalid-request",
        "title": "The request does not validate.",
        "status": 422,
        "detail": "config.lora_rank: must be at least 1",
        "errors": [{"field": "config.lora_rank", "message": "must be at least 1"}],
    }
    script.answers = [(422, json.dumps(problem).encode())]
    with pytest.raises(ApiError) as caught:
        client.post("/jobs")
    assert (caught.value.kind, caught.value.status) == ("invalid-request", 422)
    assert caught.value.field_errors == {"config.lora_rank": "must be at least 1"}
    assert caught.value.problem == problem


@pytest.mark.parametrize("content", [b"<html>proxy</html>", b"[1]", b"null"])
def test_error_of_somebody_on_the_way_is_told_as_one(script: Script, client: Client, content: bytes) -> None:
    script.answers = [(413, content)]
    with pytest.raises(ApiError) as caught:
        client.get("/jobs")
    assert caught.value.status == caught.value.problem["status"] == 413


@pytest.mark.parametrize("call", [lambda client: client.get("/jobs"), lambda client: client.post("/jobs")])
def test_nobody_there_is_not_reachable(call: Callable[[Client], object]) -> None:
    with Client(f"http://127.0.0.1:{free_port()}", "k", retry_pauses=()) as client, pytest.raises(NotReachable):
        call(client)


def test_download_that_breaks_off_leaves_nothing(script: Script, client: Client, tmp_path: Path) -> None:
    script.answers = [None, None, None]
    with pytest.raises(NotReachable):
        client.download("/adapters/ada_1/download", tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_quote_waits_while_tokens_are_being_counted(script: Script, url: str) -> None:
    """A large data set is counted once, beside everything else; that is no fault to be tried again blindly."""
    counting = {"type": "/problems/tokens-being-counted", "rows": 9, "counted_rows": 4, "retry_after_seconds": 0}
    script.answers = [(503, json.dumps(counting).encode()), (201, b'{"id": "quo_1"}')]
    told: list[tuple[int, int]] = []
    with BrokerClient(url, "lbk_x", retry_pauses=()) as client:
        quote = client.create_quote({}, "dat_1", on_counting=lambda counted, rows: told.append((counted, rows)))
    assert quote["id"] == "quo_1"
    assert told == [(4, 9)]
    assert script.seen[0][0] != script.seen[1][0]


def test_list_with_pages_is_got_whole(script: Script, client: Client) -> None:
    first, last = {"data": [1, 2], "next_cursor": "b", "tokens": 9}, {"data": [3], "next_cursor": None, "tokens": 9}
    script.answers = [(200, json.dumps(page).encode()) for page in (first, last)]
    assert client.get_whole("/jobs/job_1/usage") == {"data": [1, 2, 3], "next_cursor": None, "tokens": 9}


def test_download_of_other_bytes_than_the_broker_has_is_not_kept(
    script: Script, client: Client, tmp_path: Path
) -> None:
    script.answers = [(200, b"damaged")]
    script.headers = {"X-Content-SHA256": "0" * 64}
    with pytest.raises(DamagedDownload):
        client.download("/adapters/ada_1/download", tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []
