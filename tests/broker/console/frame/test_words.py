"""Codes are told in words, in both languages."""

import pytest

from broker.console.frame.templating import load_environment
from broker.console.frame.words import WORDS
from broker.http.languages import Language
from broker.ledger.books.causes import Cause
from broker.scheduling.planning.values.answers import ReasonCode


@pytest.mark.parametrize(
    ("code", "english", "chinese"),
    [
        ("usage_invoiced", "usage invoiced", "用量入账"),
        ("checkpoint_saved", "checkpoint saved", "检查点"),
        ("run_preempted", "run preempted", "本次运行已让位"),
        ("change_queue", "queue changed", "更改队列"),
        ("long_term", "long term", "长期"),
        ("never_heard_of", "never heard of", "never heard of"),
    ],
)
def test_a_code_is_told_in_words(code: str, english: str, chinese: str) -> None:
    told: dict[Language, str] = {"en": english, "zh": chinese}
    for language, words in told.items():
        environment = load_environment(language, "Asia/Shanghai", "customer")
        assert environment.from_string("{{ code | words }}").render(code=code) == words


def test_each_reason_to_wait_and_each_cause_of_an_end_has_words() -> None:
    assert {*map(str, ReasonCode), *map(str, Cause)} <= {*WORDS}
