"""What is recorded of lost work says what is borne of it, after any order of losses and corrections. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.jobs.rules.lost_work_records import LostSince, plan_changes
from broker.ledger.books.causes import Cause
from pricing.usage import Usage

LOST, REFUSED = Cause.MACHINE_LOST, Cause.CHECKPOINT_UNUSABLE


def lost(gpu_seconds: int, tokens: int = 0, *, step: int | None = 5, cause: Cause = LOST) -> LostSince:
    return LostSince(cause, step, Usage(gpu_seconds, tokens))


@pytest.mark.parametrize(
    ("recorded", "borne", "changes"),
    [
        ([], {}, []),
        ([], {LOST: Usage(3, 4)}, []),
        ([lost(12, 40)], {LOST: Usage(12, 40)}, []),
        ([lost(12, 40)], {LOST: Usage(10, 40)}, [lost(-2)]),
        ([lost(12, 40)], {}, [lost(-12, -40)]),
        ([lost(12, 40)], {LOST: Usage(9, 50)}, [lost(-3, 10)]),
        # What was lost last is corrected first, each meter for itself, and no record becomes less than nothing.
        ([lost(12, 40), lost(5, 7, step=2)], {LOST: Usage(10, 41)}, [lost(-5, -6, step=2), lost(-2)]),
        ([lost(12, 40), lost(5, 7, step=None)], {LOST: Usage(18, 47)}, [lost(1, step=None)]),
        (
            [lost(12), lost(3, cause=REFUSED), lost(5, step=2)],
            {LOST: Usage(17), REFUSED: Usage(1)},
            [lost(-2, cause=REFUSED)],
        ),
    ],
)
def test_records_follow_what_is_borne(
    recorded: list[LostSince], borne: dict[Cause, Usage], changes: list[LostSince]
) -> None:
    assert plan_changes(recorded, borne) == changes


COUNTS = st.integers(0, 50)
USAGE = st.builds(Usage, COUNTS, COUNTS)
STEPS = st.sampled_from([None, 5, 10])
CAUSES = st.sampled_from([LOST, REFUSED])
# A loss of so much since a step, or a correction to so much of what is borne for the cause.
HAPPENED = st.tuples(CAUSES, STEPS, USAGE, st.booleans())


Happened = tuple[Cause, int | None, Usage, bool]


@given(st.lists(HAPPENED, max_size=8))
def test_records_agree_with_what_is_borne_after_any_order(happened: list[Happened]) -> None:
    told: dict[tuple[Cause, int | None], Usage] = {}
    borne: dict[Cause, Usage] = {}
    for cause, step, usage, is_loss in happened:
        before = borne.get(cause, Usage())
        if is_loss:
            borne[cause] = before + usage
            told[cause, step] = told.get((cause, step), Usage()) + usage
            continue
        borne[cause] = Usage(min(before.gpu_seconds, usage.gpu_seconds), min(before.tokens, usage.tokens))
        recorded = [LostSince(*key, each) for key, each in told.items()]
        for change in plan_changes(recorded, borne):
            told[change.cause, change.after_step] += change.usage
    for cause, whole in borne.items():
        own = [each for (of, _step), each in told.items() if of == cause]
        assert sum(own, Usage()) == whole
        assert all(min(each.gpu_seconds, each.tokens) >= 0 for each in own)
