"""What a recorded window would have been: more GPUs, other limits, guarantees and what is lent of them."""

from datetime import timedelta

import pytest

from broker.scheduling.planning.values.jobs import Place, RunningJob
from broker.scheduling.planning.values.pools import Node, PoolState
from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueState
from broker.scheduling.simulation.comparison import Comparison, GroupMeasures, compare_replays
from broker.scheduling.simulation.proposal import read_proposal
from broker.scheduling.simulation.stop_count import StopCount, StopRules
from broker.scheduling.simulation.window import Window, read_window
from broker.scheduling.simulation.window_replay import replay_window
from tests.broker.scheduling.simulation.small_broker import Faults, SmallBroker, moment, run_broker

OWN = "dedicated:con_a"
QUEUES = QueueState("standard", 100), QueueState(OWN, 100, contract_id="con_a")
MANY_QUEUES = *QUEUES, QueueState("second", 100), QueueState("third", 100), QueueState("fourth", 100)
POOL = PoolState("one", "a100", 4, 4, nodes=(Node("n0", 2), Node("n1", 2)))
STOPS = StopRules(per_hour=5, least_run=timedelta(seconds=20))
NOTHING_FAILS = Faults(lost=0)


@pytest.fixture(scope="module")
def broker() -> SmallBroker:
    return run_broker(5, 60, every_seconds=45, pools=(POOL,), queues=QUEUES, faults=NOTHING_FAILS, most_gpus=2)


@pytest.fixture(scope="module")
def window(broker: SmallBroker) -> Window:
    return read_window(broker.records)


def compare(window: Window, document: dict) -> Comparison:
    changes, conditions = read_proposal(document), [told for _at, told in window.conditions]
    changes.check(conditions, window.list_contracts())
    return compare_replays(replay_window(window), replay_window(window, changes.as_proposal(conditions, STOPS)))


def find_waits(comparison: Comparison, queue: str, *, proposed: bool) -> float:
    groups = [group.proposed if proposed else group.today for group in comparison.groups if group.queue == queue]
    return sum((group.avg_wait_s or 0) * group.started for group in groups) / sum(group.started for group in groups)


def sum_of(comparison: Comparison, field: str, *, proposed: bool) -> float:
    measures: list[GroupMeasures] = [each.proposed if proposed else each.today for each in comparison.groups]
    return sum(getattr(each, field) for each in measures)


def test_a_new_pool_shortens_the_wait_and_costs_what_its_type_was_quoted(window: Window) -> None:
    comparison = compare(window, {"pools": {"new": {"sku": "l40s", "total_gpus": 8}}})
    assert find_waits(comparison, "standard", proposed=True) < find_waits(comparison, "standard", proposed=False)
    told = {pool.pool: (pool.today.gpu_seconds, pool.proposed.gpu_seconds > 0) for pool in comparison.pools}
    assert told["new"] == (0, True)
    today, proposed = (sum_of(comparison, "cost_micros", proposed=side) for side in (False, True))
    assert 0 < proposed < today, "the jobs were quoted nothing on this type"


def test_a_node_that_drains_lengthens_the_wait(window: Window) -> None:
    comparison = compare(window, {"pools": {"one": {"nodes": {"n1": "draining"}}}})
    assert find_waits(comparison, "standard", proposed=True) > find_waits(comparison, "standard", proposed=False)


def test_a_queue_under_a_limit_waits_longer_and_the_other_shorter(window: Window) -> None:
    comparison = compare(window, {"queues": {"standard": {"max_gpus": 2}}})
    assert find_waits(comparison, "standard", proposed=True) > find_waits(comparison, "standard", proposed=False)
    assert find_waits(comparison, OWN, proposed=True) < find_waits(comparison, OWN, proposed=False)


def test_a_guarantee_stops_others_for_its_queue_and_what_is_not_lent_is_never_taken_back() -> None:
    one_machine = PoolState("one", "a100", 4, 4)
    window = read_window(run_broker(5, 60, pools=(one_machine,), queues=MANY_QUEUES, every_seconds=35).records)
    guaranteed = {"contracts": {"con_a": {"guaranteed_gpus": {"a100": 2}}}}
    lent = compare(window, guaranteed)
    kept = compare(window, {**guaranteed, "queues": {OWN: {"lending_limit": 0}}})
    assert sum_of(lent, "preemptions", proposed=False) == 0 < sum_of(lent, "preemptions", proposed=True)
    assert sum_of(kept, "preemptions", proposed=True) == 0
    for comparison in (lent, kept):
        assert find_waits(comparison, OWN, proposed=True) < find_waits(comparison, OWN, proposed=False)


def test_a_guarantee_that_was_sold_and_could_not_be_kept_is_missed_and_with_more_gpus_is_not() -> None:
    """Nobody may be stopped here, so that what is lent comes back when its runs end."""
    share = ContractShare("con_a", guarantees=(Guarantee("a100", 4),))
    lender = PoolState("one", "a100", 4, 4)
    broker = run_broker(6, 60, every_seconds=35, pools=(lender,), queues=MANY_QUEUES, shares=(share,))
    window = read_window(broker.records)
    comparison = compare(window, {"pools": {"one": {"total_gpus": 64}}})
    assert sum_of(comparison, "guarantees_missed", proposed=False) > 0
    assert sum_of(comparison, "guarantee_gpu_seconds_missed", proposed=False) > 60
    assert sum_of(comparison, "guarantees_missed", proposed=True) == 0
    assert {group.queue for group in comparison.groups if group.today.guarantees_missed} == {OWN}


def test_progress_is_told_up_to_the_end(window: Window) -> None:
    told: list[float] = []
    replay_window(window, progressed=told.append)
    assert told == sorted(told)
    assert all(0 < share <= 1 for share in told)


def test_work_is_conserved_whoever_is_stopped(broker: SmallBroker, window: Window) -> None:
    """A job that was stopped runs for what was left of it, and its restart."""
    changes = read_proposal({"contracts": {"con_a": {"guaranteed_gpus": {"a100": 2}}}})
    replayed = replay_window(window, changes.as_proposal([told for _at, told in window.conditions], STOPS))
    stopped = [one for one in replayed.turns if one.preemptions and one.ended_at is not None]
    assert stopped
    for one in stopped:
        worked = sum(((stint.ended_at - stint.began_at - stint.restart) for stint in one.stints), timedelta())
        assert one.turn.started_at is not None
        assert one.turn.ended_at is not None
        assert abs(worked - (one.turn.ended_at - one.turn.started_at)) < timedelta(seconds=0.001)


def test_who_ran_before_the_window_holds_its_gpus_in_the_replay(window: Window) -> None:
    places = Place("n0", 2), Place("n1", 2)
    run = RunningJob("old", "con_b", "one", 4, moment(-100), moment(10_000), places=places)
    held = Window(window.begins_at, window.ends_at, window.conditions, [], window.turns, [(run, None)])
    assert not any(one.started_at for one in replay_window(held).turns)


def test_a_pool_stops_no_more_runs_within_an_hour_than_it_may() -> None:
    count = StopCount(StopRules(2, timedelta(seconds=20)))
    for seconds in (0, 10):
        count.count("one", moment(seconds))
    assert count.list_changed(moment(20)) == ["one"]
    assert (count.bound(POOL).preemptions_left, count.bound(POOL).least_run) == (0, timedelta(seconds=20))
    assert count.list_changed(moment(3599)) == []
    assert count.list_changed(moment(3605)) == ["one"]
    assert count.bound(POOL).preemptions_left == 1
    assert StopCount(None).bound(POOL) == POOL
