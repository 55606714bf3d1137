from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from broker.scheduling.planning.values.jobs import Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import Discipline, Node, PoolState, Window
from broker.scheduling.planning.values.queues import ContractShare, QueueLimits, QueueMode, QueueState
from broker.scheduling.simulation.proposal import BadProposal, read_proposal
from broker.scheduling.simulation.recording import Conditions

CONDITIONS = Conditions(
    pools=(PoolState("one", "a100", 4, 3, nodes=(Node("n", 4, 1),)), PoolState("two", "l40s", 2, 2)),
    queues=(QueueState("standard", 100), QueueState("priority", 200)),
)
NIGHT = {"begins_at": "2026-12-01T02:00:00Z", "ends_at": "2026-12-01T04:00:00Z"}
NAIVE = {**NIGHT, "begins_at": "2026-12-01T02:00:00"}
OVER = {**NIGHT, "ends_at": NIGHT["begins_at"]}
WINDOW = Window(datetime(2026, 12, 1, 2, tzinfo=UTC), datetime(2026, 12, 1, 4, tzinfo=UTC))


def change(document):
    return read_proposal(document).as_proposal().change_conditions(CONDITIONS)


def test_what_is_named_changes_and_all_else_stays():
    queue = {"priority": 300, "state": "holding", "max_wait_seconds": 3600, "weight": 250, "open": False}
    changed = change({"queues": {"standard": queue}})
    assert changed.queues[0] == QueueState(
        "standard", 300, open=False, mode=QueueMode.HOLDING, max_wait=timedelta(hours=1), weight=250
    )
    assert (changed.queues[1], changed.pools) == (CONDITIONS.queues[1], CONDITIONS.pools)


def test_a_pool_of_another_size_is_one_node_on_which_others_hold_as_much_as_before():
    pool = change({"pools": {"one": {"total_gpus": 8, "discipline": "first-come"}}}).pools[0]
    assert (pool.total_gpus, pool.free_gpus, pool.nodes, pool.discipline) == (8, 7, (), Discipline.FIRST_COME)
    assert change({"pools": {"one": {"total_gpus": 0}}}).pools[0].free_gpus == 0
    assert change({"pools": {"one": {"open": False}}}).pools[0].nodes == CONDITIONS.pools[0].nodes


def test_a_contract_has_another_weight():
    proposal = read_proposal({"contracts": {"con_a": {"weight": 300, "max_gpus": 2}}}).as_proposal()
    assert proposal.change_share(ContractShare("con_a", usage=7)) == ContractShare("con_a", 300, 7, most_gpus=2)
    assert proposal.change_share(ContractShare("con_b")) == ContractShare("con_b")


def test_a_queue_has_so_many_gpu_hours_in_its_window_and_none_where_both_are_null():
    limited = change({"queues": {"standard": {"window_hours": 24, "max_gpu_hours": 2}}}).queues[0]
    assert limited.limits == QueueLimits(gpu_seconds_left=7200, gpu_seconds=7200, window=timedelta(days=1))
    assert read_proposal({"queues": {"standard": {"max_gpu_hours": 2}}}).as_proposal().counted == {"standard"}
    taken = change({"queues": {"standard": {"max_gpu_hours": None, "window_hours": None}}}).queues[0]
    assert taken.limits == QueueLimits()
    with pytest.raises(BadProposal, match=r"queues\.standard\.max_gpu_hours and window_hours go together"):
        read_proposal({"queues": {"standard": {"max_gpu_hours": 2}}}).check([CONDITIONS], set())


def test_a_pool_is_worked_on_at_the_proposed_times_alone():
    named = {**NIGHT, "nodes": ["n"]}
    assert change({"pools": {"one": {"maintenance": [named]}}}).pools[0].nodes[0].windows == (WINDOW,)
    assert change({"pools": {"two": {"maintenance": [NIGHT]}}}).pools[1].nodes == (Node("two", 2, windows=(WINDOW,)),)
    assert change({"pools": {"one": {"maintenance": []}}}).pools[0].nodes == CONDITIONS.pools[0].nodes
    with pytest.raises(BadProposal, match=r"pools\.one\.maintenance names m, which was not there; there were n"):
        change({"pools": {"one": {"maintenance": [{**NIGHT, "nodes": ["m"]}]}}})


def test_a_job_that_waited_has_another_priority():
    job = WaitingJob("job_a", "con_a", "standard", Shape(1, (TypeOption("a100", 60, 60),)), WINDOW.begins_at)
    proposed = read_proposal({"jobs": {"job_a": {"priority": 300}}})
    assert proposed.as_proposal().change_job(job) == replace(job, priority=300)
    assert proposed.as_proposal().change_job(replace(job, job_id="job_b")).priority is None
    proposed.check([CONDITIONS], set(), {"job_a"})
    with pytest.raises(BadProposal, match=r"jobs\.job_a did not wait in this window"):
        proposed.check([CONDITIONS], set(), {"job_b"})


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "must hold queues, pools, contracts or jobs"),
        ({}, "must hold queues, pools, contracts or jobs"),
        ({"queue": {}}, "field 'queue' is unknown; the fields are queues, pools, contracts, jobs"),
        ({"queues": ["standard"]}, "queues must name what changes"),
        ({"queues": []}, "queues must name what changes"),
        ({"pools": {}}, "pools must name what changes"),
        ({"contracts": None}, "contracts must name what changes"),
        ({"queues": {"standard": {}}}, "queues.standard must hold fields: priority"),
        ({"queues": {"standard": 5}}, "queues.standard must hold fields"),
        ({"queues": {"standard": {"prio": 1}}}, "queues.standard.prio is unknown; the fields are priority"),
        ({"queues": {"standard": {"priority": -1}}}, "queues.standard.priority must be a whole number of at least 0"),
        ({"queues": {"standard": {"priority": True}}}, "queues.standard.priority must be a whole number"),
        ({"queues": {"standard": {"weight": 0}}}, "queues.standard.weight must be a whole number of at least 1"),
        ({"queues": {"standard": {"state": "shut"}}}, "queues.standard.state must be one of open, holding, draining"),
        (
            {"queues": {"standard": {"max_wait_seconds": float("nan")}}},
            "max_wait_seconds must be a number",
        ),
        ({"queues": {"standard": {"open": "no"}}}, "queues.standard.open must be true or false"),
        ({"pools": {"one": {"total_gpus": 10**12}}}, "pools.one.total_gpus must be a whole number"),
        ({"queues": {"standard": {"max_gpu_hours": 0}}}, "queues.standard.max_gpu_hours must be a whole number of"),
        ({"pools": {"one": {"maintenance": "tonight"}}}, "pools.one.maintenance must be a list of at most 100 times"),
        ({"pools": {"one": {"maintenance": [{}]}}}, "pools.one.maintenance.0 must hold begins_at and ends_at"),
        ({"pools": {"one": {"maintenance": [NAIVE]}}}, "pools.one.maintenance.0.begins_at must be a moment with its"),
        ({"pools": {"one": {"maintenance": [OVER]}}}, "pools.one.maintenance.0.ends_at must be after begins_at"),
        ({"jobs": {"job_a": {"priority": -1}}}, "jobs.job_a.priority must be a whole number of at least 0"),
        ({"contracts": {"con_a": {"weight": -5}}}, "contracts.con_a.weight must be a whole number of at least 1"),
    ],
)
def test_a_proposal_that_cannot_be_is_refused_by_its_field(document, told):
    with pytest.raises(BadProposal, match=told):
        read_proposal(document)


@pytest.mark.parametrize(
    ("part", "changes", "there"),
    [
        ("queues", {"open": False}, "priority, standard"),
        ("pools", {"open": False}, "one, two"),
        ("contracts", {"weight": 5}, "con_a"),
    ],
)
def test_what_was_not_there_in_the_window_is_refused_with_what_was(part, changes, there):
    proposal = read_proposal({part: {"x": changes}})
    with pytest.raises(BadProposal, match=f"{part}.x was not there in this window; there were {there}"):
        proposal.check([CONDITIONS], {"con_a"})
