"""What was captured last of an interval is taken back first, and never more than there is."""

import pytest

from broker.ledger.correcting.correction_plan import Capturable, plan_correction
from pricing.usage import Unit, Usage

GPU, TEXT = Unit.GPU_SECONDS, Unit.TOKENS
# An interval that a grant, then overage paid, and of which the rest was borne.
CAPTURES = (Capturable(1, GPU, 20), Capturable(2, GPU, 7), Capturable(3, TEXT, 100), Capturable(4, GPU, 5))


@pytest.mark.parametrize(
    ("taken", "planned"),
    [
        (Usage(), {}),
        (Usage(1, 0), {4: 1}),
        (Usage(5, 0), {4: 5}),
        (Usage(6, 0), {4: 5, 2: 1}),
        (Usage(32, 100), {4: 5, 2: 7, 1: 20, 3: 100}),
        (Usage(0, 1), {3: 1}),
    ],
)
def test_what_was_captured_last_is_taken_back_first(taken: Usage, planned: dict[int, int]) -> None:
    assert plan_correction(CAPTURES, taken) == planned
    assert plan_correction(CAPTURES[::-1], taken) == planned


@pytest.mark.parametrize(("taken", "told"), [(Usage(33, 0), "1 gpu_seconds"), (Usage(0, 103), "3 tokens")])
def test_no_more_is_taken_back_than_there_is(taken: Usage, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        plan_correction(CAPTURES, taken)
