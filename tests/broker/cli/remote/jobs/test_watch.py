"""`broker jobs watch` goes on while the broker is too busy to answer, or away; what is refused ends it."""

from typing import Any, cast

import pytest

from broker.cli.remote.jobs import watch
from broker.client.errors import ApiError, ClientError, NotReachable
from broker.client.typed import BrokerClient

RUNNING, ENDED = {"status": "running"}, {"status": "succeeded"}


class Told:
    """Answers in turn, or what is raised in place of one."""

    def __init__(self, *answers: Any) -> None:
        self.answers = iter(answers)

    def get_job(self, _job_id: str) -> Any:
        answer = next(self.answers)
        if isinstance(answer, ClientError):
            raise answer
        return answer


def look(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[Any]:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)
    return list(watch._look_again(cast("BrokerClient", Told(*answers)), "job_1"))


def test_a_broker_that_is_busy_or_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past fault: on a busy machine the broker answered 503 for a while, and the watch ended before its job did."""
    passing = ApiError(503, {"title": "Busy"}), NotReachable("no answer"), ApiError(429, {})
    assert look(monkeypatch, RUNNING, *passing, ENDED) == [RUNNING] * 4 + [ENDED]


def test_what_is_refused_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiError):
        look(monkeypatch, RUNNING, ApiError(404, {"title": "There is no such object."}), ENDED)
