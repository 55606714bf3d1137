"""The incremental planner: whatever it was told, in whatever order, it plans what one told everything at once plans."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given, note
from hypothesis import strategies as st

from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.rounds.reclaim import KEPT_AFTER
from broker.scheduling.planning.values.answers import ReasonCode
from broker.scheduling.planning.values.jobs import Place, Preference, RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import Discipline, Node, NodeState, PoolState, Window
from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueLimits, QueueState
from broker.scheduling.planning.values.snapshot import Kept
from broker.scheduling.planning.waits.line import list_waits
from tests.broker.scheduling.planning.worlds import BEGAN, World
from tests.properties import examples

PROPERTY = examples(50)
SEEDS = st.integers(0, 2**32)


@PROPERTY
@given(SEEDS)
@example(270277)
def test_what_was_told_step_by_step_plans_as_what_is_told_at_once(seed: int) -> None:
    note(f"seed {seed}")
    world = World(seed)
    for _round in range(12):
        for _step in range(world.random.randint(1, 6)):
            world.step()
        plan = world.planner.plan(world.now)
        assert plan == Planner.of(world.snapshot()).plan(world.now)
        assert plan == world.planner.plan(world.now), "a plan changes nothing"
        for start in plan.starts:
            if world.random.random() < 0.8:
                world.apply(start)


@PROPERTY
@given(SEEDS)
def test_no_gpu_is_given_twice_and_no_limit_or_quota_is_passed(seed: int) -> None:
    note(f"seed {seed}")
    world = World(seed)
    for _round in range(8):
        for _step in range(world.random.randint(1, 8)):
            world.step()
        before = Counter(run.queue for run in world.running.values())
        for start in world.planner.plan(world.now).starts:
            world.apply(start)
        taken = Counter[str]()
        held = Counter[str]()
        for run in world.running.values():
            held[run.contract_id] += run.gpus
            taken.update({place.node: place.gpus for place in run.places})
        assert all(taken[node.name] <= node.total for pool in world.pools.values() for node in pool.nodes)
        for queue in world.queues.values():
            jobs = sum(run.queue == queue.name for run in world.running.values())
            assert queue.limits.jobs is None or jobs <= max(queue.limits.jobs, before[queue.name])


A100, L40S = "a100", "l40s"
STANDARD = QueueState("standard", 100)
HOUR = 3600


def make_pool(name="one", *, sku=A100, nodes=(4,), **fields) -> PoolState:
    made = tuple(Node(f"{name}{at}", each) if isinstance(each, int) else each for at, each in enumerate(nodes))
    total = sum(node.total for node in made)
    return PoolState(name, sku, total, total, nodes=made, **fields)


ONE_NODE = make_pool()


def make_job(job_id, gpus=1, *, seconds=HOUR, late=None, age=0, contract="con_a", queue="standard", **fields):
    shape = Shape.of_any_type(gpus, seconds, late)
    return WaitingJob(job_id, contract, queue, shape, BEGAN - timedelta(seconds=age), **fields)


def make_run(job_id, node="one0", gpus=1, *, ends_in=HOUR, late=None, contract="con_x", **fields):
    at = (Place(node, gpus),)
    ends = [BEGAN + timedelta(seconds=seconds) for seconds in (ends_in, ends_in if late is None else late)]
    return RunningJob(job_id, contract, node[:3], gpus, BEGAN - timedelta(hours=1), *ends, places=at, **fields)


def make_planner(*told, pools=(ONE_NODE,), queues=(STANDARD,)) -> Planner:
    planner = Planner()
    for each in (*pools, *queues, *told):
        if isinstance(each, WaitingJob):
            planner.submit(each)
        elif isinstance(each, RunningJob):
            planner.start(each)
        else:
            planner.change(each)
    return planner


def starts(planner, *, after=0) -> list[str]:
    return [start.job_id for start in planner.plan(BEGAN + timedelta(seconds=after)).starts]


def reasons(planner) -> dict[str, ReasonCode]:
    return {wait.job_id: wait.reason.code for wait in list_waits(planner, planner.plan(BEGAN))}


FULL_FOR_AN_HOUR = make_run("job_run", gpus=3)


def test_small_job_fills_the_time_until_the_large_one_ahead_of_it_can_start():
    short, long = make_job("job_short", seconds=HOUR // 2, age=1), make_job("job_long", seconds=HOUR + 1, age=2)
    planner = make_planner(FULL_FOR_AN_HOUR, make_job("job_large", 4, age=9), short, long)
    assert starts(planner) == ["job_short"]


def test_reservation_stands_on_p90_and_a_filler_counts_by_its_p50():
    run = make_run("job_run", gpus=3, ends_in=60, late=HOUR)
    filler = make_job("job_filler", seconds=HOUR - 1, late=9 * HOUR)
    planner = make_planner(run, make_job("job_large", 4, age=9), filler)
    assert starts(planner) == ["job_filler"]
    assert planner.plan(BEGAN).reserved[0].at == BEGAN + timedelta(hours=1)


def test_small_job_starts_beside_what_is_reserved_however_long_it_runs():
    planner = make_planner(
        FULL_FOR_AN_HOUR, make_job("job_large", 3, age=9), make_job("job_endless", seconds=99 * HOUR)
    )
    assert starts(planner) == ["job_endless"]


def test_reservation_of_one_node_keeps_no_other_node_idle():
    planner = make_planner(
        FULL_FOR_AN_HOUR,
        make_run("job_other", "one1", 3, ends_in=9 * HOUR),
        make_job("job_large", 4, age=9),
        make_job("job_endless", seconds=99 * HOUR),
        pools=[make_pool(nodes=(4, 4))],
    )
    assert planner.plan(BEGAN).starts[0].places == (Place("one1", 1),)


def test_all_gpus_of_a_job_are_on_one_node():
    planner = make_planner(make_job("job_1", 3), pools=[make_pool(nodes=(2, 2))])
    assert starts(planner) == []


def test_job_larger_than_a_node_takes_whole_nodes_where_the_pool_allows_it():
    planner = make_planner(make_job("job_1", 4), pools=[make_pool(nodes=(2, 2, 2), spans_nodes=True)])
    assert planner.plan(BEGAN).starts[0].places == (Place("one0", 2), Place("one1", 2))


def test_job_that_waited_as_long_as_its_queue_allows_passes_all_priorities():
    queues = (QueueState("standard", 100, max_wait=timedelta(hours=2)), QueueState("priority", 200))
    jobs = make_job("job_old", 4, age=HOUR), make_job("job_first", 4, queue="priority", age=9)
    planner = make_planner(*jobs, queues=queues)
    assert starts(planner) == ["job_first"]
    assert starts(planner, after=HOUR) == ["job_old"]


def test_only_who_surely_ends_in_time_fills_it_before_a_job_that_waited_too_long():
    """FULL_FOR_AN_HOUR leaves a GPU; `job_likely` ends in time at its p50, and not at its p90."""
    queues = (QueueState("standard", 100, max_wait=timedelta(seconds=5)),)
    likely = replace(make_job("job_likely"), shape=Shape.of_any_type(1, 60, 9 * 3600))
    sure = make_job("job_sure", seconds=1, age=-1)
    patient = make_planner(FULL_FOR_AN_HOUR, make_job("job_old", 4, age=9), likely, sure)
    assert starts(patient) == ["job_likely"]
    overdue = make_planner(FULL_FOR_AN_HOUR, make_job("job_old", 4, age=9), likely, sure, queues=queues)
    assert starts(overdue) == ["job_sure"]


def test_contract_that_used_less_of_its_share_goes_first():
    shares = ContractShare("con_a", usage=300, weight=200), ContractShare("con_b", usage=200, weight=100)
    jobs = make_job("job_b", 4, contract="con_b", age=9), make_job("job_a", 4, contract="con_a")
    assert starts(make_planner(*shares, *jobs)) == ["job_a"]


def test_job_that_lost_its_machine_goes_first_and_finds_its_slots_kept():
    kept = Kept("job_lost", "one", "one0", 4, until=BEGAN + timedelta(minutes=5))
    first = make_job("job_first", 4, age=9)
    planner = make_planner(kept, first, make_job("job_lost", 4, expedited=True))
    assert starts(planner) == ["job_lost"]
    planner.end("job_lost")
    assert starts(planner) == ["job_first"]


def test_what_victims_leave_is_kept_for_the_preemptor_until_the_last_has_gone():
    """kueue#13797: what one victim freed was given to somebody else while the next was still stopping."""
    kept = Kept("job_large", "one", "one0", 4, until=BEGAN + timedelta(minutes=5))
    planner = make_planner(make_run("job_victim", gpus=2), kept, make_job("job_large", 4), make_job("job_small", age=9))
    assert starts(planner) == []
    planner.end("job_victim")
    assert starts(planner) == ["job_large"]


@pytest.mark.parametrize(("late", "started"), [(HOUR, ["job_1"]), (HOUR + 1, [])])
def test_nothing_starts_that_is_expected_to_run_into_maintenance(late, started):
    window = Window(BEGAN + timedelta(hours=1), BEGAN + timedelta(hours=2))
    planner = make_planner(
        make_job("job_1", seconds=60, late=late), pools=[make_pool(nodes=(Node("one0", 4, windows=(window,)),))]
    )
    assert starts(planner) == started
    assert reasons(planner) == ({} if started else {"job_1": ReasonCode.MAINTENANCE})
    assert starts(planner, after=2 * HOUR) == ["job_1"]


@pytest.mark.parametrize("state", [NodeState.DRAINING, NodeState.DOWN])
def test_nothing_starts_on_a_node_that_drains_or_is_down(state):
    assert starts(make_planner(make_job("job_1"), pools=[make_pool(nodes=(Node("one0", 4, state=state),))])) == []


TYPES = (TypeOption(A100, 100, 120, price_micros=300), TypeOption(L40S, 200, 240, price_micros=200))


@pytest.mark.parametrize(
    ("preference", "finish_in", "pool"),
    [
        (Preference.CHEAPEST, None, "two"),
        (Preference.FASTEST, None, "one"),
        (Preference.CHEAPEST, 240, "two"),
        (Preference.CHEAPEST, 239, "one"),
        (Preference.CHEAPEST, 1, "one"),
    ],
)
def test_job_takes_the_cheapest_type_that_meets_its_date_or_the_fastest(preference, finish_in, pool):
    date = None if finish_in is None else BEGAN + timedelta(seconds=finish_in)
    job = WaitingJob("job_1", "con_a", "standard", Shape(1, TYPES, preference, date), BEGAN)
    planner = make_planner(job, pools=[make_pool(), make_pool("two", sku=L40S)])
    assert planner.plan(BEGAN).starts[0].pool == pool


def test_job_starts_on_no_type_that_it_does_not_accept():
    job = WaitingJob("job_1", "con_a", "standard", Shape(1, TYPES[:1]), BEGAN)
    assert starts(make_planner(job, pools=[make_pool(sku=L40S)])) == []


DEDICATED = QueueState("dedicated:con_a", 300, contract_id="con_a")
GUARANTEED = ContractShare("con_a", guarantees=(Guarantee(A100, 2, most_lent=0),))


def test_what_is_guaranteed_and_not_lent_is_left_idle_for_its_contract():
    others = [make_job(f"job_{n}", contract="con_b", age=9) for n in range(4)]
    planner = make_planner(GUARANTEED, *others, queues=(STANDARD, DEDICATED))
    assert starts(planner) == ["job_0", "job_1"]
    assert reasons(planner)["job_2"] == ReasonCode.GUARANTEED_TO_OTHERS
    planner.submit(make_job("job_own", queue=DEDICATED.name))
    assert starts(planner) == ["job_own", "job_0", "job_1"]


@pytest.mark.parametrize("forgotten", ["pool", "queue"])
def test_what_ran_in_a_pool_or_queue_that_is_no_more_is_not_counted_within_a_guarantee_for_ever(forgotten):
    run = make_run("job_run", gpus=2, contract="con_a", queue=DEDICATED.name)
    others = [make_job(f"job_{n}", contract="con_b", age=9) for n in range(4)]
    planner = make_planner(GUARANTEED, run, *others, queues=(STANDARD, DEDICATED))
    planner.forget_pool("one") if forgotten == "pool" else planner.forget_queue(DEDICATED.name)
    planner.end("job_run")
    planner.change(ONE_NODE)
    planner.change(DEDICATED)
    assert starts(planner) == ["job_0", "job_1"], "the other two are kept"


def test_who_lost_its_machine_holds_up_nobody_with_what_is_guaranteed_to_others():
    """It may not take the two that are kept for the contract: reserved for it, they would serve neither."""
    lost = make_job("job_lost", 3, contract="con_b", expedited=True)
    own = make_job("job_own", 2, queue=DEDICATED.name)
    same_size = make_job("job_same", 3, contract="con_a", queue=DEDICATED.name)
    planner = make_planner(GUARANTEED, lost, own, queues=(STANDARD, DEDICATED))
    assert starts(planner) == ["job_own"]
    most = ContractShare("con_a", guarantees=(Guarantee(A100, 3, most_lent=0),))
    assert starts(make_planner(most, lost, same_size, queues=(STANDARD, DEDICATED))) == ["job_same"]


def test_what_others_are_lent_is_filled_until_a_larger_job_may_have_enough_of_it():
    """Of four free GPUs three are lent. Who needs four waits for the run to end, and a short job fills that time."""
    kept = ContractShare("con_a", guarantees=(Guarantee(A100, 1, most_lent=0),))
    run, large = make_run("job_run", "one1", 4), make_job("job_large", 4, contract="con_b", age=9)
    short, long = (make_job(f"job_{name}", seconds=seconds) for name, seconds in (("a", HOUR), ("b", 2 * HOUR)))
    pools, queues = [make_pool(nodes=(4, 4))], (STANDARD, DEDICATED)
    planner = make_planner(kept, run, large, replace(short, contract_id="con_c"), pools=pools, queues=queues)
    assert starts(planner) == ["job_a"]
    planner.end("job_a")
    planner.submit(replace(long, contract_id="con_c"))
    assert starts(planner) == []


def test_each_waiting_job_of_a_guarantee_has_a_reservation_of_its_own():
    runs = [make_run("job_r0", "one0", 4), make_run("job_r1", "one1", 4, ends_in=2 * HOUR)]
    own = [make_job(f"job_{n}", 1, queue=DEDICATED.name, age=9 - n) for n in range(2)]
    planner = make_planner(*runs, GUARANTEED, *own, pools=[make_pool(nodes=(4, 4))], queues=(DEDICATED,))
    assert [(each.job_id, each.node) for each in planner.plan(BEGAN).reserved] == [("job_0", "one0"), ("job_1", "one1")]


@pytest.mark.parametrize("limits", [QueueLimits(jobs=1), QueueLimits(gpus=1), QueueLimits(gpu_seconds_left=0)])
def test_queue_at_its_limit_starts_nothing_and_blocks_nobody(limits):
    queues = (QueueState("limited", 200, limits=limits), STANDARD)
    run = make_run("job_run", gpus=1, queue="limited")
    planner = make_planner(run, make_job("job_limited", queue="limited", age=9), make_job("job_other"), queues=queues)
    assert starts(planner) == ["job_other"]


def test_contract_at_its_quota_starts_nothing_and_blocks_nobody():
    share = ContractShare("con_a", most_gpus=1)
    planner = make_planner(share, make_job("job_1", 2, age=9), make_job("job_2", 2, contract="con_b"))
    assert starts(planner) == ["job_2"]


@pytest.mark.parametrize(
    ("discipline", "first"),
    [
        (Discipline.FAIR, "job_old"),
        (Discipline.FIRST_COME, "job_old"),
        (Discipline.SHORTEST_REMAINING, "job_short"),
        (Discipline.LEAST_ATTAINED, "job_new"),
    ],
)
def test_discipline_of_a_pool_says_who_goes_first(discipline, first):
    jobs = (
        make_job("job_old", 4, seconds=900, age=99, seconds_done=1000),
        make_job("job_short", 4, seconds=60, age=50, seconds_done=9000),
        make_job("job_new", 4, seconds=800, age=10),
    )
    assert starts(make_planner(*jobs, pools=[make_pool(discipline=discipline)])) == [first]


def test_job_whose_slowdown_is_at_its_bound_goes_before_shorter_ones():
    jobs = make_job("job_long", 4, seconds=HOUR, age=20 * HOUR), make_job("job_short", 4, seconds=60)
    assert starts(make_planner(*jobs, pools=[make_pool(discipline=Discipline.SHORTEST_REMAINING)])) == ["job_long"]


@pytest.mark.parametrize("discipline", [Discipline.SHORTEST_REMAINING, Discipline.LEAST_ATTAINED])
def test_job_at_its_bound_passes_better_ones_of_its_own_class(discipline):
    """Newer jobs of the same contract and length that have had less do not keep it waiting for ever."""
    old = make_job("job_old", 4, seconds=HOUR + 60, age=49 * HOUR, seconds_done=HOUR)
    newer = [make_job(f"job_{n}", 4, seconds=HOUR, age=n) for n in range(3)]
    planner = make_planner(old, *newer, pools=[make_pool(discipline=discipline)])
    assert starts(planner) == ["job_old"]
    planner.end("job_old")
    planner.submit(replace(old, submitted_at=BEGAN - timedelta(hours=39)))
    assert starts(planner) == ["job_2"]
    assert starts(planner, after=2 * HOUR) == ["job_old"], "it becomes due while nothing is told"


def test_job_that_may_take_long_keeps_no_other_from_the_time_until_maintenance():
    node = Node("one0", 4, windows=(Window(BEGAN + timedelta(hours=1), BEGAN + timedelta(hours=2)),))
    jobs = make_job("job_unsure", late=5 * HOUR, seconds=600, age=9), make_job("job_sure", late=700, seconds=600)
    assert starts(make_planner(*jobs, pools=[make_pool(nodes=(node,))])) == ["job_sure"]


RECLAIMABLE = make_pool(preemptions_left=9)
OWN = make_job("job_own", 2, queue=DEDICATED.name)
LENT = ContractShare("con_a", guarantees=(Guarantee(A100, 2),))


def borrow(job_id, gpus=1, **fields):
    return make_run(job_id, gpus=gpus, rate_micros=10, queue="standard", **fields)


def reclaim(*runs, pool=RECLAIMABLE, job=OWN):
    planner = make_planner(*runs, LENT, job, pools=[pool], queues=(STANDARD, DEDICATED))
    return planner.plan(BEGAN)


def victims(plan) -> list[str]:
    return [each.job_id for each in plan.preemptions]


def test_what_was_lent_is_taken_back_from_those_whose_lost_work_costs_least():
    saved = BEGAN - timedelta(minutes=1)
    plan = reclaim(borrow("job_r1", 2), borrow("job_r2", checkpoint_at=saved), borrow("job_r3", checkpoint_at=saved))
    assert victims(plan) == ["job_r2", "job_r3"]
    assert [(each.lost_micros, each.for_job, each.grace_seconds) for each in plan.preemptions] == [
        (600, "job_own", 60)
    ] * 2
    assert [(each.job_id, each.node, each.gpus) for each in plan.kept] == [("job_own", "one0", 2)]


def test_victims_have_the_time_that_their_pool_gives_them():
    """The planner told sixty seconds, whatever the setting said."""
    plan = reclaim(borrow("job_r1", 4), pool=replace(RECLAIMABLE, grace=timedelta(minutes=5)))
    assert [each.grace_seconds for each in plan.preemptions] == [300]
    assert [each.until for each in plan.kept] == [BEGAN + timedelta(minutes=5) + KEPT_AFTER]


def test_all_that_a_guarantee_lacks_is_taken_back_at_once_each_job_for_itself():
    """Only the first job had others stopped: a guarantee of n jobs waited for n times the grace."""
    owns = [make_job(f"job_own{n}", queue=DEDICATED.name, seconds=HOUR * (n + 1)) for n in range(3)]
    runs = [borrow(f"job_r{n}", 1) for n in range(4)]
    planner = make_planner(LENT, *owns, *runs, pools=[RECLAIMABLE], queues=(STANDARD, DEDICATED))
    plan = planner.plan(BEGAN)
    assert [(each.for_job, each.job_id) for each in plan.preemptions] == [
        ("job_own0", "job_r0"),
        ("job_own1", "job_r1"),
    ]
    assert plan.causes["job_own1"] == ReasonCode.MAKING_ROOM
    for kept in plan.kept:
        planner.change(kept)
    assert victims(planner.plan(BEGAN)) == []
    planner.submit(make_job("job_rival", 1, contract="con_b", expedited=True))
    planner.end("job_r1")
    assert starts(planner, after=1) == ["job_own0"], "it waits for no other's room, and nobody takes it"


def test_what_one_victim_leaves_serves_several_jobs_of_a_guarantee():
    owns = [make_job(f"job_own{n}", queue=DEDICATED.name) for n in range(2)]
    planner = make_planner(LENT, *owns, borrow("job_r0", 4), pools=[RECLAIMABLE], queues=(STANDARD, DEDICATED))
    assert victims(planner.plan(BEGAN)) == ["job_r0"]


def test_a_restart_is_a_part_of_what_is_lost():
    saved = BEGAN - timedelta(minutes=1)
    slow = borrow("job_r1", 2, checkpoint_at=saved, restart_seconds=600)
    assert victims(reclaim(slow, borrow("job_r2", 2, checkpoint_at=saved))) == ["job_r2"]


def test_nobody_else_gets_what_victims_leave_and_nobody_is_stopped_twice_for_it():
    plan = reclaim(borrow("job_r1", 2), borrow("job_r2", 2))
    (victim,), (kept,) = victims(plan), plan.kept
    planner = make_planner(
        borrow("job_r1", 2), borrow("job_r2", 2), LENT, OWN, kept, pools=[RECLAIMABLE], queues=(STANDARD, DEDICATED)
    )
    planner.submit(make_job("job_old", 1, contract="con_b", age=HOUR))
    assert reasons(planner)["job_own"] == ReasonCode.MAKING_ROOM
    assert victims(planner.plan(BEGAN)) == []
    planner.end(victim)
    assert starts(planner, after=1) == ["job_own"]


@pytest.mark.parametrize(
    "pool", [make_pool(preemptions_left=0), make_pool(preemptions_left=9, least_run=timedelta(hours=2))]
)
def test_nobody_is_stopped_beyond_the_rate_of_a_pool_or_before_its_least_run(pool):
    assert victims(reclaim(borrow("job_r1", 2), borrow("job_r2", 2), pool=pool)) == []


@pytest.mark.parametrize(
    ("left", "own", "stopped_for"), [(1, False, ["job_short"]), (1, True, []), (2, True, ["job_own"])]
)
def test_stops_are_saved_up_for_a_guarantee_that_needs_more_than_are_left(left, own, stopped_for):
    """A past fault: a discipline took each stop as it came, and a guarantee that needed two at once had none."""
    pool = make_pool(nodes=(2, 2), discipline=Discipline.SHORTEST_REMAINING, preemptions_left=left)
    waiting = (make_job("job_short", contract="con_b", seconds=60), *((OWN,) if own else ()))
    runs = [borrow(f"job_{node}{number}", node=node) for node in ("one0", "one1") for number in range(2)]
    planner = make_planner(*runs, LENT, *waiting, pools=[pool], queues=(STANDARD, DEDICATED))
    assert sorted({each.for_job for each in planner.plan(BEGAN).preemptions}) == stopped_for


def test_a_run_within_its_guarantee_is_not_stopped_and_one_beyond_it_borrows():
    own = [make_run(f"job_r{n}", gpus=2, contract="con_a", queue=DEDICATED.name) for n in range(2)]
    other = ContractShare("con_b", guarantees=(Guarantee(A100, 2),))
    queue = QueueState("dedicated:con_b", 300, contract_id="con_b")
    job = make_job("job_other", 2, contract="con_b", queue=queue.name)
    planner = make_planner(*own, LENT, other, job, pools=[RECLAIMABLE], queues=(DEDICATED, queue))
    assert victims(planner.plan(BEGAN)) == ["job_r1"]


def test_a_job_beyond_its_guarantee_stops_nobody():
    own = make_run("job_r0", gpus=2, contract="con_a", queue=DEDICATED.name)
    assert victims(reclaim(own, borrow("job_r1", 2))) == []


@pytest.mark.parametrize(("seconds", "stopped"), [(HOUR // 2, ["job_run"]), (HOUR // 2 + 60, [])])
def test_shortest_remaining_service_stops_what_needs_twice_as_much(seconds, stopped):
    pool = make_pool(discipline=Discipline.SHORTEST_REMAINING, preemptions_left=9)
    planner = make_planner(make_run("job_run", gpus=4), make_job("job_1", 4, seconds=seconds), pools=[pool])
    assert victims(planner.plan(BEGAN)) == stopped


def test_least_attained_service_stops_what_has_had_a_level_more():
    pool = make_pool(discipline=Discipline.LEAST_ATTAINED, preemptions_left=9)
    job = make_job("job_1", 4, seconds=99 * HOUR)
    planner = make_planner(make_run("job_run", gpus=4), job, pools=[pool])
    assert victims(planner.plan(BEGAN)) == ["job_run"]
    planner = make_planner(make_run("job_run", gpus=4, submitted_at=BEGAN - timedelta(hours=99)), job, pools=[pool])
    assert victims(planner.plan(BEGAN)) == [], "it was slowed down as much as anybody may be"


def test_nobody_is_stopped_where_maintenance_keeps_the_job_from_starting():
    window = Window(BEGAN + timedelta(minutes=30), BEGAN + timedelta(hours=2))
    pool = make_pool(nodes=(Node("one0", 4, windows=(window,)),), preemptions_left=9)
    planner = make_planner(LENT, OWN, borrow("job_a", 4), pools=[pool], queues=(STANDARD, DEDICATED))
    assert planner.plan(BEGAN).preemptions == ()


def test_room_is_made_anew_when_what_was_kept_was_kept_for_too_long():
    kept = Kept("job_own", "one", "one0", 2, BEGAN)
    planner = make_planner(LENT, OWN, borrow("job_a", 4), kept, pools=[RECLAIMABLE], queues=(STANDARD, DEDICATED))
    assert [each.job_id for each in planner.plan(BEGAN).preemptions] == ["job_a"]


def test_victim_that_is_slower_than_its_grace_is_named_once_and_what_it_leaves_is_kept_from_then_on():
    """Named again, it would count twice against the pool's rate, and another would be stopped beside it."""
    planner = make_planner(LENT, OWN, borrow("job_a", 2), borrow("job_b", 2), pools=[RECLAIMABLE])
    planner.change(DEDICATED)
    plan = planner.plan(BEGAN)
    (victim,), (kept,) = victims(plan), plan.kept
    planner.change(kept)
    late = kept.until + timedelta(minutes=7)
    planner.submit(make_job("job_rival", 2, contract="con_b", expedited=True))
    plan = planner.plan(late)
    assert (victims(plan), plan.causes["job_own"]) == ([], ReasonCode.MAKING_ROOM)
    planner.end(victim)
    assert [start.job_id for start in planner.plan(late).starts] == ["job_own"], "not who goes first elsewhere"
    assert [start.job_id for start in planner.plan(late + timedelta(minutes=3)).starts] == ["job_rival"]


def test_who_is_stopping_anyway_is_not_stopped_for_others():
    """What it leaves is kept for the job; another is stopped where that is not enough."""
    plan = reclaim(borrow("job_a", 2, is_stopping=True), borrow("job_b", 2))
    assert (victims(plan), [each.victims for each in plan.kept]) == ([], [("job_a",)])
    assert plan.causes == {"job_own": ReasonCode.MAKING_ROOM}
    plan = reclaim(borrow("job_a", 1, is_stopping=True), borrow("job_b", 3))
    assert (victims(plan), [each.victims for each in plan.kept]) == (["job_b"], [("job_b", "job_a")])


@pytest.mark.parametrize(("most_lent", "started"), [(0, 2), (1, 3), (None, 4)])
def test_at_most_so_many_of_what_a_guarantee_leaves_idle_are_lent(most_lent, started):
    share = ContractShare("con_a", guarantees=(Guarantee(A100, 2, most_lent),))
    others = [make_job(f"job_{n}", contract="con_b", age=9) for n in range(4)]
    assert len(starts(make_planner(share, *others, queues=(STANDARD, DEDICATED)))) == started


def test_job_that_is_told_again_with_the_same_age_stands_once():
    """Both stood in one heap with equal keys, and jobs cannot be compared."""
    pool = make_pool(discipline=Discipline.SHORTEST_REMAINING)
    planner = make_planner(make_job("job_1", 4), pools=[pool])
    planner.submit(replace(make_job("job_1", 4), seconds_done=5))
    planner.submit(replace(make_job("job_1", 4), seconds_done=6))
    assert starts(planner) == ["job_1"]


def test_late_start_is_not_before_the_expected_one_when_a_run_has_outlived_its_prediction():
    """Half of such runs have ended half an hour ago, and nine of ten will have in a minute."""
    run = make_run("job_run", gpus=4, ends_in=-HOUR // 2, late=60)
    planner = make_planner(run, make_job("job_next", 4))
    (wait,) = list_waits(planner, planner.plan(BEGAN))
    assert wait.expected_start == wait.latest_start == BEGAN + timedelta(seconds=60)


def test_who_would_be_within_its_guarantee_if_no_machine_had_failed_is_told_so():
    short = ContractShare("con_a", guarantees=(Guarantee(A100, 1, promised=3),))
    runs = [make_run("job_r1", gpus=1, contract="con_a", queue=DEDICATED.name), borrow("job_r2", 3)]
    planner = make_planner(*runs, short, make_job("job_own", 2, queue=DEDICATED.name), pools=[RECLAIMABLE])
    planner.change(DEDICATED)
    assert reasons(planner)["job_own"] == ReasonCode.GUARANTEE_SHORT
    assert victims(planner.plan(BEGAN)) == [], "its share is in use"
