"""What of a run's usage is borne after its end: its cause and its last durable checkpoint decide, and nothing else."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.ledger.books.causes import OUR_DOING, WITH_CHECKPOINT, Cause
from broker.ledger.correcting.lost_work import Checkpoints, Kept, LostWork, Mark, Portion, decide_lost_work, find_kept
from pricing.usage import Unit

CUSTOMERS_DOING = frozenset(Cause) - OUR_DOING - {Cause.CHECKPOINT_LOST, Cause.OVER_PROMISE}
# Three intervals: 0 and 1, which ends at the checkpoint of step 5, and 2, in each of which both meters counted.
MARK = Mark(step=5, sequence=1)


def seconds(capture_id: int, first: int, quantity: int, *, charged: int | None = None) -> Portion:
    return Portion(capture_id, first, Unit.GPU_SECONDS, quantity, quantity if charged is None else charged)


def tokens(capture_id: int, first: int, quantity: int, *, charged: int | None = None) -> Portion:
    return Portion(capture_id, first, Unit.TOKENS, quantity, quantity if charged is None else charged)


def lost_ids(lost: LostWork | None) -> list[int]:
    return [] if lost is None else [portion.capture_id for portion in lost.portions]


PORTIONS = (seconds(1, 0, 20), tokens(2, 0, 900), seconds(3, 2, 12), tokens(4, 2, 1042))


@pytest.mark.parametrize(
    ("durable", "marks", "kept"),
    [
        ((), (), Kept(None, -1)),
        ((), (MARK,), Kept(None, -1)),
        ((5,), (MARK,), Kept(5, 1)),
        ((5,), (), Kept(5, None)),
        ((0,), (Mark(0, 0),), Kept(0, 0)),
        ((5, 10), (MARK, Mark(10, 4)), Kept(10, 4)),
        ((10, 5), (Mark(10, 4), MARK), Kept(10, 4)),
        ((5,), (MARK, Mark(10, 4)), Kept(5, 1)),
        ((5, 10), (MARK,), Kept(10, None)),
        ((5,), (Mark(5, 7), MARK), Kept(5, 1)),
    ],
)
def test_run_keeps_what_lies_before_its_last_durable_checkpoint(
    durable: Sequence[int], marks: Sequence[Mark], kept: Kept
) -> None:
    assert find_kept(Checkpoints(durable, marks)) == kept


@pytest.mark.parametrize(
    ("kept", "sequence", "has"),
    [
        (Kept(5, 1), 0, True),
        (Kept(5, 1), 1, True),
        (Kept(5, 1), 2, False),
        (Kept(None, -1), 0, False),
        (Kept(5, None), 99, True),
    ],
)
def test_interval_that_ends_at_the_checkpoint_is_kept_and_the_next_is_not(
    kept: Kept, sequence: int, *, has: bool
) -> None:
    assert kept.has(sequence) is has


@pytest.mark.parametrize("cause", sorted(OUR_DOING))
def test_end_by_our_doing_takes_back_all_after_the_checkpoint_and_nothing_before(cause: Cause) -> None:
    lost = decide_lost_work(cause, Checkpoints((5,), (MARK,)), PORTIONS)
    assert lost == LostWork(cause, 5, PORTIONS[2:])
    assert (lost.count(Unit.GPU_SECONDS), lost.count(Unit.TOKENS)) == (12, 1042)


@pytest.mark.parametrize("cause", sorted(OUR_DOING))
def test_run_without_a_checkpoint_keeps_nothing_where_we_ended_it(cause: Cause) -> None:
    assert decide_lost_work(cause, Checkpoints(), PORTIONS) == LostWork(cause, None, PORTIONS)


@pytest.mark.parametrize("cause", sorted(CUSTOMERS_DOING - WITH_CHECKPOINT))
@pytest.mark.parametrize("checkpoints", [Checkpoints(), Checkpoints((5,), (MARK,))])
def test_customer_pays_for_all_where_the_end_is_its_doing(cause: Cause, checkpoints: Checkpoints) -> None:
    assert decide_lost_work(cause, checkpoints, PORTIONS) is None


@pytest.mark.parametrize("cause", sorted(WITH_CHECKPOINT))
@pytest.mark.parametrize(
    ("checkpoints", "portions", "lost"),
    [
        pytest.param(Checkpoints((5,), (MARK,)), PORTIONS[:2], [], id="it stopped at its checkpoint"),
        pytest.param(
            Checkpoints((5,), (MARK,)), (*PORTIONS[:2], seconds(3, 2, 2)), [], id="and let its devices go after"
        ),
        pytest.param(Checkpoints(), (seconds(1, 0, 20),), [], id="it had trained nothing yet"),
        pytest.param(Checkpoints((5,), ()), PORTIONS, [], id="its checkpoint's interval has not come"),
        pytest.param(Checkpoints((5,), (MARK,)), PORTIONS, [3, 4], id="it had trained on"),
        pytest.param(Checkpoints((5,), (MARK,)), (tokens(4, 2, 1),), [4], id="by one token"),
        pytest.param(Checkpoints((), (MARK,)), PORTIONS, [1, 2, 3, 4], id="its checkpoint never became durable"),
        pytest.param(
            Checkpoints((5,), (MARK, Mark(9, 2))),
            (*PORTIONS[:2], seconds(3, 2, 2)),
            [3],
            id="the last one did not, of steps without tokens",
        ),
        pytest.param(
            Checkpoints((5,), (MARK,)),
            (seconds(3, 2, 12), tokens(4, 2, 7, charged=0)),
            [3],
            id="the tokens are borne already",
        ),
        pytest.param(
            Checkpoints((5,), (MARK,)),
            (seconds(3, 2, 12), tokens(4, 2, 0)),
            [],
            id="its tokens were corrected to none",
        ),
    ],
)
def test_stop_is_ours_where_its_checkpoint_did_not_come(
    cause: Cause, checkpoints: Checkpoints, portions: Sequence[Portion], lost: list[int]
) -> None:
    decided = decide_lost_work(cause, checkpoints, portions)
    assert lost_ids(decided) == lost
    assert decided is None or decided.cause == Cause.CHECKPOINT_LOST


def test_only_what_is_charged_still_is_taken_back() -> None:
    portions = (seconds(3, 2, 12, charged=5), tokens(4, 2, 1042, charged=0))
    assert decide_lost_work(Cause.MACHINE_LOST, Checkpoints(), portions) == LostWork(
        Cause.MACHINE_LOST, None, portions[:1]
    )


def test_nothing_is_lost_where_nothing_was_charged_after_the_checkpoint() -> None:
    assert decide_lost_work(Cause.MACHINE_LOST, Checkpoints((5,), (MARK,)), PORTIONS[:2]) is None


def test_every_cause_of_an_end_is_of_one_side() -> None:
    assert OUR_DOING.isdisjoint(WITH_CHECKPOINT)
    assert CUSTOMERS_DOING >= WITH_CHECKPOINT
    assert Cause.SUCCEEDED in CUSTOMERS_DOING
    assert Cause.CANCELLED in CUSTOMERS_DOING - WITH_CHECKPOINT


@st.composite
def ended_runs(draw: st.DrawFn) -> tuple[Cause, Checkpoints, list[Portion]]:
    count = draw(st.integers(1, 8))
    marked = draw(st.lists(st.integers(0, count - 1), unique=True, max_size=3))
    marks = [Mark(step=5 * (place + 1), sequence=sequence) for place, sequence in enumerate(sorted(marked))]
    durable = draw(st.lists(st.sampled_from([mark.step for mark in marks]), unique=True)) if marks else []
    portions = [
        Portion(2 * number + offset, number, unit, draw(st.integers(1, 50)), 0)
        for number in range(count)
        for offset, unit in enumerate((Unit.GPU_SECONDS, Unit.TOKENS))
    ]
    charged = [Portion(each.capture_id, each.first_sequence, each.unit, each.used, each.used) for each in portions]
    return draw(st.sampled_from(sorted(Cause))), Checkpoints(durable, marks), charged


def take_out(portions: Sequence[Portion], lost: LostWork | None) -> list[Portion]:
    gone = lost_ids(lost)
    return [
        Portion(each.capture_id, each.first_sequence, each.unit, each.used, 0) if each.capture_id in gone else each
        for each in portions
    ]


@given(ended_runs(), st.randoms(use_true_random=False))
def test_order_of_arrival_changes_nothing(run: tuple[Cause, Checkpoints, list[Portion]], order: Random) -> None:
    """Usage arrives in any order, some of it with its marks, and after each arrival it is decided again."""
    cause, checkpoints, portions = run
    at_once = decide_lost_work(cause, checkpoints, portions)
    arrived: list[Portion] = []
    for portion in order.sample(portions, len(portions)):
        arrived.append(portion)
        known = {each.first_sequence for each in arrived}
        marks = [mark for mark in checkpoints.marks if mark.sequence in known]
        arrived = take_out(arrived, decide_lost_work(cause, Checkpoints(checkpoints.durable_steps, marks), arrived))
    once = take_out(portions, at_once)
    assert sorted(arrived, key=lambda each: each.capture_id) == once


@given(ended_runs())
def test_customer_pays_for_what_it_keeps_and_decides_once(run: tuple[Cause, Checkpoints, list[Portion]]) -> None:
    cause, checkpoints, portions = run
    lost = decide_lost_work(cause, checkpoints, portions)
    kept = find_kept(checkpoints)
    rest = take_out(portions, lost)
    assert all(each.charged == each.used for each in rest if kept.has(each.first_sequence))
    if cause in OUR_DOING:
        assert all(each.charged == 0 for each in rest if not kept.has(each.first_sequence))
    assert decide_lost_work(cause, checkpoints, rest) is None
