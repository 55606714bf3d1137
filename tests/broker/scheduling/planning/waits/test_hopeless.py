"""What waiting never ends is told apart from what it does, for every limit; and it is told first."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.scheduling.planning.values.answers import Reason, ReasonCode, Wait
from broker.scheduling.planning.values.jobs import RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import Node, NodeState, PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueLimits, QueueMode, QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.planning.waits.stranded import list_stranded
from broker.scheduling.planning.waits.wording import WAIT
from tests.broker.scheduling.planning.whole_plan import plan_cycle

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
HOUR = 3600
POOL = PoolState("local", "cpu", 8, 8)


def make_job(number=1, gpus=1, seconds=HOUR, sku=None):
    shape = Shape(gpus, (TypeOption(sku, seconds, seconds),))
    return WaitingJob(f"job_{number}", "con_a", "standard", shape, NOW - timedelta(minutes=60 - number))


def make_run(gpus=1):
    return RunningJob("job_run", "con_a", "local", gpus, NOW, NOW + timedelta(hours=1), queue="standard")


def explain(*jobs, running=(), pools=(POOL,), share=None, **queue) -> list[Reason]:
    return [wait.reason for wait in list_waits(*jobs, running=running, pools=pools, share=share, **queue)]


def list_waits(*jobs, running=(), pools=(POOL,), share=None, **queue) -> tuple[Wait, ...]:
    shares = () if share is None else (ContractShare("con_a", **share),)
    queues = (QueueState("standard", 100, **queue),)
    return plan_cycle(ClusterSnapshot(tuple(pools), queues, jobs, tuple(running), shares), now=NOW).waits


DAY = QueueLimits(gpu_seconds=4 * HOUR, gpu_seconds_left=2 * HOUR, window=timedelta(days=1))
NEVER = [
    ({"limits": QueueLimits(gpus=2)}, {"gpus": 3}, ReasonCode.TOO_LARGE_FOR_QUEUE),
    ({"limits": DAY}, {"seconds": 5 * HOUR}, ReasonCode.TOO_LONG_FOR_QUEUE),
    ({"share": {"most_gpus": 2}}, {"gpus": 3}, ReasonCode.TOO_LARGE_FOR_QUOTA),
    ({"allowed_pools": frozenset({"other"})}, {"sku": "cpu"}, ReasonCode.POOL_NEVER_ALLOWED),
]
LATER = [
    ({"limits": QueueLimits(gpus=2)}, {"gpus": 2}, ReasonCode.QUEUE_LIMIT),
    ({"limits": QueueLimits(jobs=1)}, {}, ReasonCode.QUEUE_LIMIT),
    ({"limits": DAY}, {"seconds": 3 * HOUR}, ReasonCode.QUEUE_LIMIT),
    ({"share": {"most_gpus": 2}}, {"gpus": 2}, ReasonCode.QUOTA),
    ({"share": {"most_jobs": 1}}, {}, ReasonCode.QUOTA),
]


@pytest.mark.parametrize(("rules", "job", "code"), NEVER)
def test_what_passes_a_limit_by_itself_is_told_that_waiting_does_not_help(rules, job, code):
    """A past fault: a job over its queue's `max_gpus` was told that it starts by itself."""
    pools = (POOL, PoolState("other", "h100-80g", 8, 8))
    for state in (QueueMode.OPEN, QueueMode.HOLDING):
        (reason,) = explain(make_job(**job), pools=pools, mode=state, **rules)
        assert reason.code == code
        assert reason.next_step not in ("", WAIT)
        assert reason.message_zh.endswith("。")


@pytest.mark.parametrize(("rules", "job", "code"), LATER)
def test_what_fits_once_others_have_ended_is_told_to_wait(rules, job, code):
    (reason,) = explain(make_job(**job), running=[make_run()], **rules)
    assert reason.code == code


def test_one_that_never_fits_is_told_so_though_others_are_ahead_of_it():
    first = make_job(1, gpus=2, seconds=HOUR)
    waits = list_waits(
        first, make_job(2, gpus=4), running=[make_run(8)], limits=QueueLimits(gpus=12), share={"most_gpus": 3}
    )
    assert [(wait.job_id, wait.reason.code) for wait in waits] == [
        ("job_1", ReasonCode.QUOTA),
        ("job_2", ReasonCode.TOO_LARGE_FOR_QUOTA),
    ]


def test_starts_of_one_cycle_share_the_hours_that_are_left_of_a_window():
    """A past fault: whatever was left of a window let all start at once."""
    jobs = [make_job(number, seconds=HOUR) for number in range(1, 5)]
    waits = list_waits(*jobs, limits=DAY)
    assert [wait.job_id for wait in waits] == ["job_3", "job_4"]
    assert waits[0].reason.message == (
        "Queue standard may use 4 GPU-hours within 24 hours; 2 are used, or needed by what runs."
    )


def test_pools_that_are_allowed_and_closed_are_not_never():
    closed = PoolState("other", "cpu", 8, 8, open=False)
    (reason,) = explain(make_job(sku="cpu"), pools=(POOL, closed), allowed_pools=frozenset({"other"}))
    assert reason.code == ReasonCode.POOL_NOT_ALLOWED


DRAINED = (Node("n1", 8, state=NodeState.DRAINING), Node("n2", 2))


@pytest.mark.parametrize(
    ("pool", "told"),
    [
        (PoolState("local", "cpu", 8, 0, nodes=DRAINED[:1]), "no machine that is large enough takes starts now"),
        (PoolState("local", "cpu", 10, 2, nodes=DRAINED), "no machine that is large enough takes starts now"),
        (PoolState("local", "cpu", 8, 0, nodes=DRAINED[:1], open=False, closure="Pool local rests."), "local rests"),
    ],
)
def test_what_a_machine_that_drains_could_take_waits_for_it_and_is_not_told_to_be_submitted_anew(pool, told):
    """A past fault: where ops drained the only machine, all were told that they are too large, and to cancel."""
    job = make_job(gpus=4)
    (reason,) = explain(job, pools=(pool,))
    assert (reason.code, told in reason.message) == (ReasonCode.NO_OPEN_POOL, True)
    assert "ool" not in reason.message_zh, "it was a Chinese sentence with an English one behind it"
    snapshot = ClusterSnapshot((pool,), (QueueState("standard", 100),), (job,), ())
    assert list_stranded(snapshot) == []
    assert explain(make_job(gpus=9), pools=(pool,))[0].code == ReasonCode.TOO_LARGE_FOR_POOL
