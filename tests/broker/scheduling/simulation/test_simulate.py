"""Whole replays: who starts when under each policy, and what holds whatever the workload."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.simulation.policy import Backfill, PolicySettings
from broker.scheduling.simulation.simulate import EstimateKind, Setup, simulate
from broker.scheduling.simulation.trace import TraceJob
from tests.properties import examples

STRICT = PolicySettings(Discipline.FIRST_COME, Backfill.NONE)
EASY = PolicySettings(Discipline.FIRST_COME, Backfill.FIRST_COME)
SJBF = PolicySettings(Discipline.FIRST_COME, Backfill.SHORTEST_FIRST)
SHORTEST = PolicySettings(Discipline.SHORTEST_REMAINING, Backfill.SHORTEST_FIRST)
PLANNED = PolicySettings(Discipline.SHORTEST_REMAINING)
FAIR = PolicySettings()


def job(job_id, *, came=0.0, run=100.0, gpus=1, asked=None, owner="a", deadline=None):
    return TraceJob(job_id, came, run, gpus, owner, run if asked is None else asked, deadline)


def replay(*jobs, policy=STRICT, gpus=4, node_size=1, estimates=EstimateKind.USER):
    return simulate(jobs, Setup(gpus, node_size, policy, estimates))


def starts(*jobs, **setup):
    return {ended.job_id: ended.started_at for ended in replay(*jobs, **setup).ended}


BLOCKED = (job("runs", run=100, gpus=3), job("head", came=1, gpus=4), job("small", came=2, run=50))


def test_nobody_passes_the_job_in_front_where_the_line_is_strict():
    assert starts(*BLOCKED) == {"runs": 0, "head": 100, "small": 200}


def test_a_job_passes_where_it_ends_before_the_reservation():
    assert starts(*BLOCKED, policy=EASY) == {"runs": 0, "head": 100, "small": 2}


def test_a_job_that_would_delay_the_reservation_waits():
    late = job("small", came=2, run=50, asked=99)
    assert starts(*BLOCKED[:2], late, policy=EASY)["small"] == 200


def test_a_job_passes_beside_the_reservation_however_long_it_takes():
    beside = (job("runs", gpus=3), job("head", came=1, gpus=3), job("long", came=2, run=900))
    assert starts(*beside, policy=EASY) == {"runs": 0, "head": 100, "long": 2}


@pytest.mark.parametrize("order", [("small", "large"), ("large", "small")])
def test_a_job_passes_beside_the_reservation_with_what_ends_at_the_same_moment(order):
    """Both runs end at 100: of the four GPUs then, the head leaves one, whichever end is counted first."""
    run = {"small": job("small"), "large": job("large", gpus=2)}
    line = (*(run[name] for name in order), job("head", came=1, gpus=3), job("long", came=2, run=900))
    assert starts(*line, policy=EASY) == {"small": 0, "large": 0, "head": 100, "long": 2}


def test_the_shorter_passes_first_under_easy_plus_plus():
    two = (*BLOCKED[:2], job("first", came=2, run=80), job("shorter", came=2, run=20))
    assert starts(*two, policy=EASY)["first"] == 2
    assert starts(*two, policy=SJBF)["shorter"] == 2


def test_the_smallest_service_goes_first_where_the_line_is_by_service():
    line = (job("runs", gpus=4), job("large", came=1, gpus=4), job("small", came=2, gpus=2), job("tiny", came=3))
    assert starts(*line, policy=SHORTEST) == {"runs": 0, "tiny": 100, "small": 100, "large": 200}


def test_a_job_that_waited_too_long_goes_first():
    short = [job(f"s{n}", came=n * 90, run=100, gpus=4) for n in range(40)]
    long = job("long", came=1, run=400, gpus=4)
    line = sorted([*short, long], key=lambda one: one.submitted_at)
    bounded = PolicySettings(Discipline.SHORTEST_REMAINING, Backfill.SHORTEST_FIRST, max_wait_seconds=500)
    assert starts(*line, policy=SHORTEST)["long"] == 4000
    assert starts(*line, policy=bounded)["long"] == 600


def test_predictions_are_the_mean_of_the_owners_last_two_jobs():
    """The owner asks for 1,000 s and takes 20: known after two jobs, the third passes."""
    history = [job(f"h{n}", came=n * 30, run=20, asked=1000, owner="b") for n in range(2)]
    line = (*history, job("runs", came=100, gpus=3), job("head", came=101, gpus=4))
    third = job("third", came=102, run=20, asked=1000, owner="b")
    assert starts(*line, third, policy=SJBF)["third"] == 300
    assert starts(*line, third, policy=SJBF, estimates=EstimateKind.PREDICTED)["third"] == 102


def test_a_prediction_that_was_too_short_is_corrected_while_the_job_runs():
    """`runs` was thought to end at 10; one minute is added, so that a job of 60 s no longer passes at 11."""
    line = (job("runs", run=70, gpus=3, asked=10), job("head", came=11, gpus=4), job("small", came=11, run=60))
    assert starts(*line, policy=EASY)["small"] == 170
    short = (*line[:2], job("small", came=11, run=58))
    assert starts(*short, policy=EASY)["small"] == 11


def test_todays_planner_takes_turns_between_owners():
    line = (
        job("a1", gpus=4),
        job("a2", came=1, gpus=4),
        job("a3", came=2, gpus=4),
        job("b1", came=3, gpus=4, owner="b"),
    )
    assert list(starts(*line, policy=STRICT)) == ["a1", "a2", "a3", "b1"]
    two = (
        job("a1", gpus=2),
        job("a2", came=1, gpus=2),
        job("a3", came=2, gpus=2),
        job("b1", came=3, gpus=2, owner="b"),
    )
    assert starts(*two, policy=FAIR) == {"a1": 0, "a2": 1, "b1": 100, "a3": 101}


def test_jobs_larger_than_the_cluster_are_left_out_and_named():
    outcome = replay(job("fits"), job("never", gpus=5))
    assert [one.job_id for one in outcome.too_large] == ["never"]
    assert [one.job_id for one in outcome.ended] == ["fits"]


JOBS = st.lists(
    st.builds(
        TraceJob,
        job_id=st.uuids().map(str),
        submitted_at=st.integers(0, 500).map(float),
        run_seconds=st.integers(0, 300).map(float),
        gpus=st.sampled_from([1, 1, 2, 4, 8, 16]),
        owner=st.sampled_from(["a", "b"]),
        asked_seconds=st.integers(1, 400).map(float),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda one: one.job_id,
).map(lambda jobs: sorted(jobs, key=lambda one: one.submitted_at))


@pytest.mark.parametrize("policy", [STRICT, EASY, SJBF, SHORTEST, FAIR, PLANNED], ids=str)
@examples(40)
@given(jobs=JOBS, node_size=st.sampled_from([1, 8]), estimates=st.sampled_from(EstimateKind))
def test_every_job_runs_once_for_as_long_as_it_takes_and_no_gpu_is_given_twice(policy, jobs, node_size, estimates):
    ended = simulate(jobs, Setup(16, node_size, policy, estimates)).ended
    assert sorted(one.job_id for one in ended) == sorted(one.job_id for one in jobs)
    for one in ended:
        assert one.submitted_at <= one.started_at
        assert math.isclose(one.ended_at - one.started_at, one.run_seconds)
    changes = sorted(
        [(one.started_at, 1, one.gpus) for one in ended if one.run_seconds]
        + [(one.ended_at, 0, -one.gpus) for one in ended if one.run_seconds]
    )
    busy = 0
    for _, _, gpus in changes:
        busy += gpus
        assert busy <= 16


@examples(40)
@given(jobs=JOBS, node_size=st.sampled_from([1, 8]))
def test_perfect_estimates_delay_the_job_in_front_by_nobody(jobs, node_size):
    """EASY's promise, for the first job that cannot start at once: it starts no later than in the strict line."""
    strict = starts(*jobs, policy=STRICT, gpus=16, node_size=node_size, estimates=EstimateKind.PERFECT)
    easy = starts(*jobs, policy=EASY, gpus=16, node_size=node_size, estimates=EstimateKind.PERFECT)
    head = next((one.job_id for one in jobs if strict[one.job_id] > one.submitted_at), None)
    assert head is None or easy[head] <= strict[head]


@examples(20)
@given(jobs=JOBS)
def test_equal_traces_give_equal_replays(jobs):
    assert replay(*jobs, policy=SHORTEST, gpus=16, node_size=8) == replay(*jobs, policy=SHORTEST, gpus=16, node_size=8)
