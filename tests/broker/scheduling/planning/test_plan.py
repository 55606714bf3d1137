from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.scheduling.planning.values.answers import CyclePlan, Reason, ReasonCode, Start, Wait
from broker.scheduling.planning.values.jobs import Place, Preference, RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import QueueState
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from tests.broker.scheduling.planning.whole_plan import plan_cycle
from tests.properties import examples

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
STANDARD = QueueState("standard", priority=0)
PRIORITY = QueueState("priority", priority=10)


def make_pool(name="local", total=4, free=None, *, sku="cpu", **fields):
    return PoolState(name, sku, total, total if free is None else free, **fields)


def make_job(job_id, *, minute=0, contract="con_a", queue="standard", pool=None, gpus=1, expected_seconds=600):
    shape = Shape.of_any_type(gpus, expected_seconds)
    return WaitingJob(job_id, contract, queue, shape, NOW - timedelta(minutes=60 - minute), pool)


def make_running(job_id="job_running", *, contract="con_x", pool="local", gpus=1, ends_in=60):
    return RunningJob(job_id, contract, pool, gpus, NOW - timedelta(hours=1), p50_end=NOW + timedelta(seconds=ends_in))


def plan(*waiting, pools=None, queues=(STANDARD, PRIORITY), running=()) -> CyclePlan:
    snapshot = ClusterSnapshot((make_pool(),) if pools is None else tuple(pools), queues, waiting, tuple(running))
    return plan_cycle(snapshot, now=NOW)


def start_of(job_id: str, pool: str, gpus: int) -> Start:
    return Start(job_id, pool, gpus, (Place(pool, gpus),))


def started(cycle: CyclePlan) -> list[str]:
    return [start.job_id for start in cycle.starts]


def waiting(cycle: CyclePlan) -> list[str]:
    return [wait.job_id for wait in cycle.waits]


def waits_by_id(cycle: CyclePlan) -> dict[str, Wait]:
    return {wait.job_id: wait for wait in cycle.waits}


def test_nothing_waiting_plans_nothing():
    assert plan() == CyclePlan((), ())


def test_a_job_that_fits_starts_on_its_pool():
    assert plan(make_job("job_1", gpus=2)).starts == (start_of("job_1", "local", 2),)


def test_higher_priority_queue_goes_first_however_young():
    cycle = plan(
        make_job("job_old", minute=0),
        make_job("job_young", minute=50, queue="priority"),
        pools=[make_pool(total=1)],
    )
    assert started(cycle) == ["job_young"]
    assert waiting(cycle) == ["job_old"]


def test_contract_holding_fewest_gpus_goes_first():
    cycle = plan(
        make_job("job_a", minute=0, contract="con_a"),
        make_job("job_b", minute=50, contract="con_b"),
        pools=[make_pool(total=3, free=1)],
        running=[make_running(contract="con_a", gpus=2)],
    )
    assert started(cycle) == ["job_b"]


def test_starts_of_this_cycle_count_so_contracts_alternate():
    cycle = plan(
        make_job("job_a1", minute=0, contract="con_a"),
        make_job("job_a2", minute=1, contract="con_a"),
        make_job("job_a3", minute=2, contract="con_a"),
        make_job("job_b1", minute=3, contract="con_b"),
        make_job("job_b2", minute=4, contract="con_b"),
    )
    assert started(cycle) == ["job_a1", "job_b1", "job_a2", "job_b2"]


def test_contracts_alternate_in_the_waiting_line_too():
    cycle = plan(
        *(make_job(f"job_a{n}", minute=n, contract="con_a") for n in range(3)),
        make_job("job_b", minute=50, contract="con_b"),
        pools=[make_pool(total=1, free=0)],
        running=[make_running()],
    )
    assert waiting(cycle) == ["job_a0", "job_b", "job_a1", "job_a2"]


def test_oldest_then_smallest_id_goes_first_within_a_contract():
    cycle = plan(make_job("job_c", minute=1), make_job("job_b", minute=0), make_job("job_a", minute=1))
    assert started(cycle) == ["job_b", "job_a", "job_c"]


def test_queues_of_equal_priority_share_one_line():
    queues = (STANDARD, QueueState("other", priority=0))
    cycle = plan(
        make_job("job_1", minute=1, queue="standard"),
        make_job("job_2", minute=0, queue="other"),
        pools=[make_pool(total=1)],
        queues=queues,
    )
    assert started(cycle) == ["job_2"]


def test_waiting_job_blocks_smaller_ones_behind_it_on_its_pool():
    cycle = plan(
        make_job("job_large", minute=0, gpus=4),
        make_job("job_small", minute=1, gpus=1),
        pools=[make_pool(total=4, free=3)],
        running=[make_running()],
    )
    assert started(cycle) == []
    codes = [wait.reason.code for wait in cycle.waits]
    assert codes == [ReasonCode.WAITING_FOR_GPUS, ReasonCode.BEHIND_EARLIER_JOBS]


def test_waiting_job_blocks_no_other_pool():
    cycle = plan(
        make_job("job_large", minute=0, gpus=4, pool="big", queue="priority"),
        make_job("job_small", minute=1, gpus=1, pool="small"),
        pools=[make_pool("big", total=4, free=3), make_pool("small", total=1)],
    )
    assert cycle.starts == (start_of("job_small", "small", 1),)


def test_job_of_any_pool_that_waits_blocks_only_pools_that_could_take_it():
    cycle = plan(
        make_job("job_any", minute=0, gpus=4),
        make_job("job_big", minute=1, pool="big"),
        make_job("job_small", minute=2, pool="small"),
        pools=[make_pool("big", total=4, free=3), make_pool("small", total=1)],
    )
    assert started(cycle) == ["job_small"]
    assert waiting(cycle) == ["job_any", "job_big"]


def test_job_of_any_pool_takes_the_tightest_and_leaves_the_large_one_whole():
    cycle = plan(make_job("job_1", gpus=2), pools=[make_pool("a", total=8), make_pool("b", total=4, free=2)])
    assert cycle.starts == (start_of("job_1", "b", 2),)


@pytest.mark.parametrize(
    ("job", "code", "message"),
    [
        ({"queue": "gone"}, ReasonCode.QUEUE_UNKNOWN, "Queue gone does not exist."),
        ({"queue": "shut"}, ReasonCode.QUEUE_CLOSED, "Queue shut is closed."),
        ({"pool": "gone"}, ReasonCode.POOL_UNKNOWN, "Pool gone does not exist."),
        ({"pool": "shut"}, ReasonCode.POOL_CLOSED, "Pool shut is closed."),
        (
            {"pool": "local", "gpus": 5},
            ReasonCode.TOO_LARGE_FOR_POOL,
            "Needs 5 GPUs; pool local has 4 in all.",
        ),
        ({"gpus": 5}, ReasonCode.TOO_LARGE_FOR_POOL, "Needs 5 GPUs; the largest open pool, local, has 4 in all."),
    ],
)
def test_held_back_job_says_why_blocks_nobody_and_stands_last(job, code, message):
    queues = (STANDARD, QueueState("shut", priority=99, open=False))
    cycle = plan(
        make_job("job_held", minute=0, **job),
        *(make_job(f"job_{n}", minute=n) for n in range(1, 6)),
        pools=[make_pool(), make_pool("shut", total=64, open=False)],
        queues=queues,
    )
    assert started(cycle) == ["job_1", "job_2", "job_3", "job_4"]
    assert waiting(cycle) == ["job_5", "job_held"]
    assert cycle.waits[-1] == Wait("job_held", 2, Reason(code, message), None)


def test_no_open_pool_at_all_is_said_so():
    cycle = plan(make_job("job_1"), pools=[make_pool(open=False)])
    assert cycle.waits[0].reason == Reason(ReasonCode.NO_OPEN_POOL, "No pool is open.")


def test_reason_gives_the_numbers_and_how_many_are_ahead():
    cycle = plan(
        *(make_job(f"job_{n}", minute=n, pool="local") for n in range(4)),
        make_job("job_elsewhere", minute=0, contract="con_b", pool="other"),
        pools=[make_pool(total=1), make_pool("other", total=2, free=0)],
    )
    reasons = {job_id: wait.reason.message for job_id, wait in waits_by_id(cycle).items()}
    assert reasons == {
        "job_1": "Needs 1 GPU; pool local has 0 of 1 free. It is next.",
        "job_2": "Needs 1 GPU; pool local has 0 of 1 free. 1 job is ahead.",
        "job_3": "Needs 1 GPU; pool local has 0 of 1 free. 2 jobs are ahead.",
        "job_elsewhere": "Needs 1 GPU; pool other has 0 of 2 free. It is next.",
    }


def test_reason_of_a_job_of_any_pool_names_the_freest():
    cycle = plan(make_job("job_1", gpus=3), pools=[make_pool("a", free=1), make_pool("b", free=2)])
    assert cycle.waits[0].reason.message == "Needs 3 GPUs; the freest of 2 pools, b, has 2 of 4 free. It is next."


def expected_starts(cycle: CyclePlan) -> dict[str, float | None]:
    return {
        wait.job_id: None if wait.expected_start is None else (wait.expected_start - NOW).total_seconds()
        for wait in cycle.waits
    }


def test_expected_start_follows_running_jobs_and_then_those_ahead():
    cycle = plan(
        *(make_job(f"job_{n}", minute=n, gpus=2, expected_seconds=100) for n in range(3)),
        pools=[make_pool(total=2, free=0)],
        running=[make_running("job_r1", ends_in=30), make_running("job_r2", ends_in=50)],
    )
    assert expected_starts(cycle) == {"job_0": 50, "job_1": 150, "job_2": 250}


def test_a_job_is_told_when_it_starts_if_those_before_it_take_as_long_as_nine_of_ten_do():
    run = replace(make_running(ends_in=60), p90_end=NOW + timedelta(seconds=90))
    first = replace(make_job("job_1"), shape=Shape.of_any_type(1, 100, 150))
    cycle = plan(first, make_job("job_2", minute=1), pools=[make_pool(total=1, free=0)], running=[run])
    starts = [(wait.expected_start - NOW, wait.latest_start - NOW) for wait in cycle.waits]
    assert starts == [(timedelta(seconds=60), timedelta(seconds=90)), (timedelta(seconds=160), timedelta(seconds=240))]


def test_expected_start_counts_the_starts_of_this_cycle():
    cycle = plan(
        make_job("job_0", minute=0, expected_seconds=100),
        make_job("job_1", minute=1),
        pools=[make_pool(total=1)],
    )
    assert expected_starts(cycle) == {"job_1": 100}


def test_expected_start_of_a_small_job_is_not_before_the_large_one_ahead_of_it():
    cycle = plan(
        make_job("job_large", minute=0, gpus=4, expected_seconds=100),
        make_job("job_small", minute=1, gpus=1),
        pools=[make_pool(total=4, free=3)],
        running=[make_running(ends_in=40)],
    )
    assert expected_starts(cycle) == {"job_large": 40, "job_small": 140}


def test_expected_start_of_a_job_of_any_pool_is_on_the_pool_that_is_free_first():
    cycle = plan(
        make_job("job_any", minute=0),
        make_job("job_slow", minute=1, pool="slow"),
        pools=[make_pool("slow", total=1, free=0), make_pool("fast", total=1, free=0)],
        running=[make_running("job_r1", pool="slow", ends_in=500), make_running("job_r2", pool="fast", ends_in=20)],
    )
    assert expected_starts(cycle) == {"job_any": 20, "job_slow": 500}


def test_running_job_that_outlived_its_prediction_is_expected_to_end_at_the_next_step():
    cycle = plan(make_job("job_1"), pools=[make_pool(total=1, free=0)], running=[make_running(ends_in=-900)])
    assert expected_starts(cycle) == {"job_1": (1 + 5 + 15) * 60 - 900}


def test_expected_start_is_unknown_when_nothing_known_will_free_the_gpus():
    cycle = plan(make_job("job_1", minute=0, gpus=2), make_job("job_2", minute=1), pools=[make_pool(total=2, free=1)])
    assert expected_starts(cycle) == {"job_1": None, "job_2": None}


def test_expected_start_past_the_horizon_is_unknown():
    cycle = plan(
        *(make_job(f"job_{n}", minute=n, expected_seconds=10**12) for n in range(4)), pools=[make_pool(total=1)]
    )
    assert expected_starts(cycle) == {"job_1": 3650 * 86400, "job_2": None, "job_3": None}


def test_plan_of_five_thousand_jobs_places_each_once_and_alternates_a_hundred_contracts():
    jobs = [make_job(f"job_{n:04}", minute=n / 100, contract=f"con_{n % 100}") for n in range(5000)]
    cycle = plan(*jobs, pools=[make_pool("a", total=100), make_pool("b", total=100)])
    assert len(cycle.starts) == 200
    assert [wait.position for wait in cycle.waits] == list(range(1, 4801))
    by_id = {job.job_id: job for job in jobs}
    assert len({by_id[start.job_id].contract_id for start in cycle.starts[:100]}) == 100


PROPERTY = examples(200)  # a busy machine must not fail a property
POOL_NAMES = ("a", "b", "c")
QUEUES = (STANDARD, PRIORITY, QueueState("dedicated:con_a", priority=20), QueueState("shut", priority=5, open=False))


@st.composite
def snapshots(draw) -> ClusterSnapshot:
    pools = []
    running = []
    for name in draw(st.sets(st.sampled_from(POOL_NAMES))):
        total = draw(st.integers(0, 8))
        free = total
        for number in range(draw(st.integers(0, 3))):
            gpus = draw(st.integers(0, free))
            free -= gpus
            contract = draw(st.sampled_from(["con_a", "con_b", "con_c"]))
            ends_in = draw(st.integers(-100, 1000))
            running.append(
                make_running(f"job_r_{name}{number}", contract=contract, pool=name, gpus=gpus, ends_in=ends_in)
            )
        pools.append(make_pool(name, total=total, free=free, open=draw(st.integers(0, 4)) > 0))
    jobs = [
        make_job(
            f"job_{number}",
            minute=draw(st.integers(0, 5)),
            contract=draw(st.sampled_from(["con_a", "con_b", "con_c"])),
            queue=draw(st.sampled_from([*(queue.name for queue in QUEUES), "gone"])),
            pool=draw(st.sampled_from([None, *POOL_NAMES])),
            gpus=draw(st.integers(1, 6)),
            expected_seconds=draw(st.integers(0, 1000)),
        )
        for number in range(draw(st.integers(0, 12)))
    ]
    return ClusterSnapshot(tuple(pools), QUEUES, tuple(jobs), tuple(running))


def usable_pools(job: WaitingJob, snapshot: ClusterSnapshot) -> set[str]:
    return {
        pool.name
        for pool in snapshot.pools
        if pool.open and pool.total_gpus >= job.gpus and job.pool in (None, pool.name)
    }


def open_priority(job: WaitingJob, snapshot: ClusterSnapshot) -> int | None:
    return next((queue.priority for queue in snapshot.queues if queue.name == job.queue and queue.open), None)


def free_after(cycle: CyclePlan, snapshot: ClusterSnapshot) -> dict[str, int]:
    free = {pool.name: pool.free_gpus for pool in snapshot.pools}
    for start in cycle.starts:
        free[start.pool] -= start.gpus
    return free


@PROPERTY
@given(snapshots())
def test_starts_never_exceed_free_gpus_nor_use_a_pool_the_job_may_not(snapshot):
    cycle = plan_cycle(snapshot, now=NOW)
    jobs = {job.job_id: job for job in snapshot.waiting}
    assert all(free >= 0 for free in free_after(cycle, snapshot).values())
    for start in cycle.starts:
        job = jobs[start.job_id]
        assert start.gpus == job.gpus
        assert start.pool in usable_pools(job, snapshot)
        assert open_priority(job, snapshot) is not None


@PROPERTY
@given(snapshots(), st.randoms(use_true_random=False))
def test_plan_does_not_depend_on_the_order_of_the_input(snapshot, random):
    shuffled = {name: tuple(random.sample(list(items), len(items))) for name, items in vars(snapshot).items()}
    assert plan_cycle(replace(snapshot, **shuffled), now=NOW) == plan_cycle(snapshot, now=NOW)


@PROPERTY
@given(snapshots())
def test_every_waiting_job_starts_or_waits_exactly_once(snapshot):
    cycle = plan_cycle(snapshot, now=NOW)
    assert sorted(started(cycle) + waiting(cycle)) == sorted(job.job_id for job in snapshot.waiting)
    assert [wait.position for wait in cycle.waits] == list(range(1, len(cycle.waits) + 1))


@PROPERTY
@given(snapshots())
def test_job_of_lower_priority_starts_where_a_higher_one_waits_only_to_end_first_or_beside_it(snapshot):
    cycle = plan_cycle(snapshot, now=NOW)
    jobs = {job.job_id: job for job in snapshot.waiting}
    for wait in cycle.waits:
        waiter = jobs[wait.job_id]
        priority = open_priority(waiter, snapshot)
        if priority is None or wait.reason.code is not ReasonCode.WAITING_FOR_GPUS or wait.expected_start is None:
            continue
        for start in cycle.starts:
            behind = jobs[start.job_id]
            if open_priority(behind, snapshot) >= priority or usable_pools(waiter, snapshot) != {start.pool}:
                continue
            pool = next(pool for pool in snapshot.pools if pool.name == start.pool)
            ends_first = NOW + timedelta(seconds=behind.shape.p50_seconds) <= wait.expected_start
            assert ends_first or start.gpus + waiter.gpus <= pool.total_gpus


@PROPERTY
@given(snapshots())
def test_first_in_line_for_a_pool_waits_only_because_it_does_not_fit(snapshot):
    cycle = plan_cycle(snapshot, now=NOW)
    jobs = {job.job_id: job for job in snapshot.waiting}
    free = free_after(cycle, snapshot)
    touched: set[str] = set()
    for wait in cycle.waits:
        job = jobs[wait.job_id]
        if open_priority(job, snapshot) is None:
            continue
        pools = usable_pools(job, snapshot)
        for pool in pools - touched:
            assert wait.reason.code is ReasonCode.WAITING_FOR_GPUS
            assert free[pool] < job.gpus
        touched |= pools


@PROPERTY
@given(snapshots())
def test_expected_starts_do_not_overtake_on_a_pool(snapshot):
    cycle = plan_cycle(snapshot, now=NOW)
    jobs = {job.job_id: job for job in snapshot.waiting}
    for pool in (pool.name for pool in snapshot.pools):
        bound_to_pool = [wait for wait in cycle.waits if jobs[wait.job_id].pool == pool]
        known = [wait.expected_start for wait in bound_to_pool if wait.expected_start is not None]
        assert known == sorted(known)
        assert all(start >= NOW for start in known)


def make_typed(job_id, *skus, preference=Preference.CHEAPEST, finish_in=None, **fields):
    """Make a job that accepts these types: the first is the cheapest and the slowest, and so on."""
    options = tuple(TypeOption(sku, 600 // place, 900 // place, 100 * place) for place, sku in enumerate(skus, start=1))
    date = None if finish_in is None else NOW + timedelta(seconds=finish_in)
    return replace(make_job(job_id, **fields), shape=Shape(1, options, preference, date))


SLOW, FAST = make_pool("a", 1, sku="rtx-3090"), make_pool("b", 1, sku="h100-80g")


@pytest.mark.parametrize(
    ("job", "pool"),
    [
        (make_typed("job_1", "h100-80g"), "b"),
        (make_typed("job_1", "rtx-3090"), "a"),
        (make_typed("job_1", "rtx-3090", "h100-80g"), "a"),
        (make_typed("job_1", "h100-80g", "rtx-3090"), "b"),
        (make_typed("job_1", "rtx-3090", "h100-80g", preference=Preference.FASTEST), "b"),
        (make_typed("job_1", "rtx-3090", "h100-80g", finish_in=900), "a"),
        (make_typed("job_1", "rtx-3090", "h100-80g", finish_in=899), "b"),
        (make_typed("job_1", "rtx-3090", "h100-80g", finish_in=1), "b"),
        (make_typed("job_1", "rtx-4090", "h100-80g", "rtx-3090"), "b"),
    ],
)
def test_a_job_starts_on_the_type_that_it_would_rather_have_of_those_that_it_accepts(job, pool):
    assert plan(job, pools=[SLOW, FAST]).starts == (start_of("job_1", pool, 1),)


def test_a_job_takes_the_dearer_type_where_the_cheaper_one_is_busy_and_blocks_no_other_types():
    busy = replace(SLOW, free_gpus=0)
    cycle = plan(
        make_typed("job_1", "rtx-3090", "h100-80g"),
        make_typed("job_2", "rtx-3090", minute=1),
        make_typed("job_3", "h100-80g", minute=2),
        pools=[busy, replace(FAST, total_gpus=2, free_gpus=2)],
        running=[make_running(pool="a", ends_in=60)],
    )
    assert cycle.starts == (start_of("job_1", "b", 1), start_of("job_3", "b", 1))
    assert [(wait.job_id, wait.expected_start) for wait in cycle.waits] == [("job_2", NOW + timedelta(seconds=60))]


def test_a_type_that_no_pool_has_or_no_open_one_is_named():
    closed = replace(FAST, open=False, closure="Pool b is closed.")
    cycle = plan(make_typed("job_1", "t4", "a100-80g"), make_typed("job_2", "h100-80g"), pools=[SLOW, closed])
    reasons = {job_id: (wait.reason.code, wait.reason.message) for job_id, wait in waits_by_id(cycle).items()}
    assert reasons == {
        "job_1": (ReasonCode.NO_POOL_OF_TYPE, "No pool has t4 or a100-80g, which it accepts."),
        "job_2": (ReasonCode.NO_OPEN_POOL, "No pool of h100-80g is open. Pool b is closed."),
    }


def test_a_job_is_expected_to_hold_the_type_that_it_starts_on_for_its_time_there():
    cycle = plan(make_typed("job_1", "rtx-3090", "h100-80g"), make_typed("job_2", "h100-80g", minute=1), pools=[FAST])
    assert [wait.expected_start for wait in cycle.waits] == [NOW + timedelta(seconds=300)]
