"""The sentence about lost work is right in singular and plural, with and without a checkpoint, for every cause."""

import pytest

from broker.jobs.rules.lost_work_words import REASONS, explain_lost_work
from broker.ledger.books.causes import OUR_DOING, Cause
from pricing.usage import Usage


@pytest.mark.parametrize(
    ("usage", "after_step", "sentence"),
    [
        (Usage(12, 1042), 5, "12 GPU-seconds and 1,042 tokens after step 5 are on us: the machine was lost"),
        (Usage(1, 1), 1000, "1 GPU-second and 1 token after step 1,000 are on us: the machine was lost"),
        (Usage(1, 0), 5, "1 GPU-second after step 5 is on us: the machine was lost"),
        (Usage(0, 1), 5, "1 token after step 5 is on us: the machine was lost"),
        (Usage(0, 2), 5, "2 tokens after step 5 are on us: the machine was lost"),
        (Usage(3600, 0), None, "3,600 GPU-seconds before its first checkpoint are on us: the machine was lost"),
        (Usage(1, 7), 0, "1 GPU-second and 7 tokens after step 0 are on us: the machine was lost"),
    ],
)
def test_sentence_counts_what_is_on_us(usage: Usage, after_step: int | None, sentence: str) -> None:
    assert explain_lost_work(usage, Cause.MACHINE_LOST, after_step) == sentence


def test_every_cause_of_what_is_borne_has_words() -> None:
    assert REASONS.keys() == OUR_DOING | {Cause.CHECKPOINT_LOST, Cause.OVER_PROMISE}
