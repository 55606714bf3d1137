"""A job is watched while the broker is too busy to answer, or away; what is refused ends it."""

from typing import Any

import pytest

from broker.client.errors import ApiError, ClientError, NotReachable
from broker.client.typed import BrokerClient

RUNNING, ENDED = {"status": "running"}, {"status": "succeeded"}


def look(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[Any]:
    told = iter(answers)

    def get_job(_client: BrokerClient, _job_id: str) -> Any:
        answer = next(told)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    monkeypatch.setattr(BrokerClient, "get_job", get_job)
    with BrokerClient("http://127.0.0.1:9", "lbk_x") as client:
        return list(client.watch_job("job_1", poll_seconds=0.0))


def test_a_broker_that_is_busy_or_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past fault: on a busy machine the broker answered 503 for a while, and the watch ended before its job did."""
    passing = ApiError(503, {"title": "Busy"}), NotReachable("no answer"), ApiError(429, {})
    assert look(monkeypatch, RUNNING, *passing, ENDED) == [RUNNING] * 4 + [ENDED]


def test_what_is_refused_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiError):
        look(monkeypatch, RUNNING, ApiError(404, {"title": "There is no such object."}), ENDED)
