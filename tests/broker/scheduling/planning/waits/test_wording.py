"""What is said to those who wait: every reason has its sentence and what helps, in both languages."""

import pytest

from broker.scheduling.planning.values.answers import ReasonCode
from broker.scheduling.planning.waits.wording import NEXT_STEPS, SENTENCES, Words, as_hours, say

EVIDENCE = {
    "gpus": 2,
    "queue": "q",
    "pool": "p",
    "pools": "p",
    "total": 1,
    "held": 1,
    "limit": 1,
    "hours": "3",
    "used": "2",
    "window": "24",
}
OF_A_TURN = {ReasonCode.WAITING_FOR_GPUS, ReasonCode.BEHIND_EARLIER_JOBS}


@pytest.mark.parametrize(("code", "how"), list(SENTENCES))
def test_each_sentence_is_said_in_two_languages_with_what_helps(code: ReasonCode, how: str) -> None:
    reason = say(code, Words(how=how), **EVIDENCE, types="a", types_zh="a")
    assert reason.message.endswith(".")
    assert reason.message_zh.endswith("。")
    assert reason.next_step
    assert reason.next_step_zh
    assert "{" not in reason.message + reason.message_zh


def test_each_reason_has_a_sentence_and_each_that_does_not_end_by_itself_says_what_helps() -> None:
    assert {code for code, _how in SENTENCES} | OF_A_TURN == set(ReasonCode)
    assert set(NEXT_STEPS) >= set(ReasonCode) - OF_A_TURN - {
        ReasonCode.GUARANTEED_TO_OTHERS,
        ReasonCode.MAINTENANCE,
        ReasonCode.MAKING_ROOM,
        ReasonCode.BATCH_LIMIT,
    }


def test_hours_are_written_whole_or_to_two_places_never_too_few() -> None:
    assert [as_hours(seconds) for seconds in (0, 3600, 5400, 3601)] == ["0", "1", "1.50", "1.01"]
