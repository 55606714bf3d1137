from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from broker.scheduling.planning.values.jobs import RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.simulation.comparison import compare_replays
from broker.scheduling.simulation.group_measures import GroupMeasures, PoolMeasures
from broker.scheduling.simulation.played import MissedGuarantee, PlayedTurn, Replayed, Stint
from broker.scheduling.simulation.window import Turn

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)
UNTIL = BEGAN + timedelta(seconds=1000)


def moment(seconds):
    return None if seconds is None else BEGAN + timedelta(seconds=seconds)


def played(job_id, *, came=0, start=None, end=None, contract="con_a", due=None, pool="one", sku="a100"):
    shape = Shape(2, (TypeOption("a100", 100, 100, 5_000_000), TypeOption("l40s", 200, 200, 4_000_000)))
    job = WaitingJob(job_id, contract, "standard", replace(shape, finish_by=moment(due)), moment(came))
    stints = [] if start is None else [Stint(pool, sku, moment(start), moment(end))]
    return PlayedTurn(Turn(job, moment(came)), moment(came), stints)


def replayed(*turns, **fields):
    return Replayed(BEGAN, UNTIL, list(turns), **fields)


def measure(*turns, **fields):
    run = replayed(*turns, **fields)
    (group,) = compare_replays(run, run).groups
    assert group.today == group.proposed
    return group.today


def test_groups_are_measured_by_contract_and_queue():
    turns = [played("a", start=0, end=100, due=90), played("b", came=10, start=110, end=160), played("c", due=900)]
    assert measure(*turns, offered={"one": 600.0}) == GroupMeasures(
        started=2,
        still_waiting=1,
        avg_wait_s=50,
        p90_wait_s=100,
        avg_bounded_slowdown=2,
        gpu_seconds=300,
        utilisation=0.5,
        cost_micros=7_500_000,
        preemptions=0,
        deadlines_missed=2,
        guarantees_missed=0,
        guarantee_gpu_seconds_missed=0,
    )


def test_what_runs_on_counts_until_the_window_ends():
    assert measure(played("a", start=900, end=1200)).gpu_seconds == 200


def test_work_costs_what_was_quoted_on_the_type_that_it_ran_on_and_within_the_window_alone():
    assert measure(played("a", start=0, end=100)).cost_micros == 5_000_000
    assert measure(played("a", start=0, end=200, sku="l40s")).cost_micros == 4_000_000
    assert measure(played("a", start=900, end=1100, sku="l40s")).cost_micros == 2_000_000
    assert measure(played("a", start=0, end=100, sku="unknown")).cost_micros == 0


def test_a_preemption_breaks_a_run_and_its_restart_is_no_work_that_is_paid():
    turn = played("a", start=0, end=50)
    turn.waits_again = True
    assert (turn.ended_at, turn.preemptions, measure(turn).avg_bounded_slowdown) == (None, 1, None)
    turn.stints.append(Stint("one", "a100", moment(100), moment(180), restart=timedelta(seconds=30)))
    turn.waits_again = False
    measured = measure(turn)
    assert (turn.ended_at, measured.preemptions) == (moment(180), 1)
    assert (measured.gpu_seconds, measured.cost_micros) == (260, 5_000_000)
    assert measured.avg_bounded_slowdown == pytest.approx(180 / 130)


def test_who_ran_before_the_window_counts_for_what_it_held():
    run = RunningJob("old", "con_b", "one", 3, moment(-500), moment(100), queue="standard")
    known = replayed(played("a", start=0, end=100), before=[(run, moment(100))], offered={"one": 1000.0, "two": 500.0})
    comparison = compare_replays(known, known)
    assert [(group.contract_id, group.today.gpu_seconds) for group in comparison.groups] == [
        ("con_a", 200),
        ("con_b", 300),
    ]
    assert [(pool.pool, pool.today) for pool in comparison.pools] == [
        ("one", PoolMeasures(500, 0.5)),
        ("two", PoolMeasures(0, 0)),
    ]


def test_a_pool_that_is_only_proposed_stands_beside_nothing():
    (pool,) = compare_replays(replayed(), replayed(offered={"new": 10.0})).pools
    assert (pool.pool, pool.today, pool.proposed) == ("new", PoolMeasures(0, 0), PoolMeasures(0, 0))


def test_what_a_guarantee_lacked_stands_with_its_own_queue():
    turn = played("a", start=0, end=100)
    missed = {("con_a", "standard"): MissedGuarantee(2, 900.0)}
    measured = measure(turn, missed=missed)
    assert (measured.guarantees_missed, measured.guarantee_gpu_seconds_missed) == (2, 900)


def test_who_would_start_later_is_named_and_who_not_at_all_first():
    today = [played(name, start=100, end=200) for name in ("same", "soon", "late", "later", "never")]
    proposed = [played(n, start=s, end=900) for n, s in (("same", 100), ("soon", 160), ("late", 300), ("later", 400))]
    comparison = compare_replays(replayed(*today), replayed(*proposed, played("never")))
    assert [(job.job_id, job.proposed) for job in comparison.later] == [
        ("never", None),
        ("later", moment(400)),
        ("late", moment(300)),
    ]


def test_a_group_in_which_nobody_started_has_no_waits():
    assert measure(played("a")).avg_wait_s is None
