"""Trying again: with longer and longer pauses, and not for ever."""

import pytest

from trainer.errors import BrokerAway, BrokerRefused
from trainer.protocol.retry import GIVE_UP_AFTER_SECONDS, keep_trying


class Time:
    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def failing(times: int):
    left = [BrokerAway("away")] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "there"

    return call


def test_it_pauses_longer_each_time_until_the_broker_is_back() -> None:
    time = Time()
    assert keep_trying(failing(7), monotonic=lambda: time.now, sleep=time.sleep) == "there"
    assert time.pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_it_tries_for_at_least_ten_minutes_and_then_gives_up() -> None:
    time = Time()
    with pytest.raises(BrokerAway):
        keep_trying(failing(10_000), monotonic=lambda: time.now, sleep=time.sleep)
    assert 600 < time.now <= GIVE_UP_AFTER_SECONDS


def test_a_refusal_and_a_run_that_is_no_longer_wanted_are_final() -> None:
    def refuse() -> None:
        raise BrokerRefused("no")

    with pytest.raises(BrokerRefused):
        keep_trying(refuse)
    with pytest.raises(BrokerAway):
        keep_trying(failing(9), wanted=lambda: False)
