"""Replays under policies that preempt: who yields to whom, what a restart costs, which promises are made and kept."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.simulation.policy import Deadlines, PolicySettings
from broker.scheduling.simulation.simulate import EstimateKind, Setup, simulate
from broker.scheduling.simulation.trace import TraceJob
from tests.properties import examples


def preempting(discipline, *, promise=False, restart=30.0, aging=math.inf, levels=(1000.0,)):
    deadlines = Deadlines.PROMISE if promise else Deadlines.IGNORE
    return PolicySettings(
        discipline,
        preempt=True,
        deadlines=deadlines,
        restart_s=restart,
        aging_slowdown=aging,
        levels_gpu_s=levels,
    )


SHORTEST = preempting(Discipline.SHORTEST_REMAINING)
ATTAINED = preempting(Discipline.LEAST_ATTAINED)
PROMISING = preempting(Discipline.FIRST_COME, promise=True)


def job(job_id, *, came=0.0, run=100.0, gpus=8, due=None, asked=None):
    return TraceJob(job_id, came, run, gpus, "a", run if asked is None else asked, due)


def replay(*jobs, policy, gpus=8):
    ended = simulate(jobs, Setup(gpus, 8, policy, EstimateKind.USER)).ended
    return {one.job_id: one for one in ended}


def ends(*jobs, policy, gpus=8):
    return {job_id: one.ended_at for job_id, one in replay(*jobs, policy=policy, gpus=gpus).items()}


def test_the_shorter_interrupts_and_the_longer_pays_its_restart():
    jobs = (job("long", run=1000), job("short", came=100, run=50))
    assert ends(*jobs, policy=SHORTEST) == {"short": 150, "long": 1080}
    assert replay(*jobs, policy=SHORTEST)["long"].preemptions == 1


def test_a_job_that_is_nearly_done_is_not_interrupted():
    assert ends(job("long", run=1000), job("short", came=960, run=50), policy=SHORTEST) == {"long": 1000, "short": 1050}


def test_what_does_not_need_the_node_goes_on():
    jobs = (job("half", run=1000, gpus=4), job("short", came=10, run=50, gpus=4))
    assert ends(*jobs, policy=SHORTEST) == {"half": 1000, "short": 60}


def test_a_starved_job_ages_until_it_runs():
    short = [job(f"s{n}", came=100.0 * n, run=100) for n in range(60)]
    jobs = sorted([*short, job("long", came=1, run=300)], key=lambda one: one.submitted_at)
    starved = ends(*jobs, policy=SHORTEST)
    aged = ends(*jobs, policy=preempting(Discipline.SHORTEST_REMAINING, aging=4.0))
    assert starved["long"] == max(starved.values())
    assert aged["long"] < 4500


def test_who_has_had_less_goes_first_whatever_it_will_need():
    """`first` has had its level of 1,000 GPU-seconds at 125 s, and yields to `second`, which had come meanwhile."""
    jobs = (job("first", run=200, asked=1), job("second", came=50, run=300, asked=9999))
    run = replay(*jobs, policy=ATTAINED)
    assert run["second"].started_at == 125
    assert run["first"].ended_at == 250 + 30 + 75
    assert run["second"].ended_at == 355 + 30 + 175


def test_nobody_yields_to_a_younger_one_of_its_level():
    jobs = (job("first", run=100), job("second", came=50, run=10))
    assert ends(*jobs, policy=ATTAINED) == {"first": 100, "second": 110}


def test_a_promised_deadline_interrupts_and_is_met():
    jobs = (job("free", run=1000), job("dated", came=100, run=50, due=150))
    run = replay(*jobs, policy=PROMISING)
    assert (run["dated"].promised, run["dated"].ended_at, run["free"].ended_at) == (True, 150, 1080)


def test_a_deadline_that_breaks_an_earlier_promise_is_refused_and_its_job_runs_all_the_same():
    jobs = (job("first", run=100, due=100), job("second", came=10, run=50, due=60))
    run = replay(*jobs, policy=PROMISING)
    assert [(run[name].promised, run[name].ended_at) for name in ("first", "second")] == [(True, 100), (False, 150)]


def test_without_promises_deadlines_change_nothing():
    jobs = (job("free", run=1000), job("dated", came=100, run=50, due=150))
    assert ends(*jobs, policy=preempting(Discipline.FIRST_COME)) == {"free": 1000, "dated": 1050}


JOBS = st.lists(
    st.builds(
        TraceJob,
        job_id=st.uuids().map(str),
        submitted_at=st.integers(0, 500).map(float),
        run_seconds=st.integers(0, 300).map(float),
        gpus=st.sampled_from([1, 2, 4, 8, 16]),
        owner=st.sampled_from(["a", "b"]),
        asked_seconds=st.integers(1, 400).map(float),
        deadline_at=st.one_of(st.none(), st.integers(0, 1500).map(float)),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda one: one.job_id,
).map(lambda jobs: sorted(jobs, key=lambda one: one.submitted_at))
POLICIES = [
    preempting(discipline, promise=promise, aging=10.0, levels=(50.0, 500.0))
    for discipline in (Discipline.FIRST_COME, Discipline.SHORTEST_REMAINING, Discipline.LEAST_ATTAINED)
    for promise in (False, True)
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.discipline}-{policy.deadlines}")
@examples(25)
@given(jobs=JOBS, gpus=st.sampled_from([16, 20, 32]))
def test_every_job_ends_with_all_its_work_done_and_every_promise_kept(policy, jobs, gpus):
    """Nodes assert for themselves that no GPU is given twice."""
    ended = simulate(jobs, Setup(gpus, 8, policy, EstimateKind.PERFECT)).ended
    assert sorted(one.job_id for one in ended) == sorted(one.job_id for one in jobs)
    for one in ended:
        assert one.ended_at - one.started_at >= one.run_seconds + (30 if one.preemptions else 0) - 1e-6
        if one.promised:
            assert one.deadline_at is not None
            assert one.ended_at <= one.deadline_at + 1e-6
