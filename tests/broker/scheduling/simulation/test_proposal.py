from datetime import timedelta

import pytest

from broker.scheduling.planning.values.pools import Discipline, Node, PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueMode, QueueState
from broker.scheduling.simulation.proposal import BadProposal, read_proposal
from broker.scheduling.simulation.recording import Conditions

CONDITIONS = Conditions(
    pools=(PoolState("one", "a100", 4, 3, nodes=(Node("n", 4, 1),)), PoolState("two", "l40s", 2, 2)),
    queues=(QueueState("standard", 100), QueueState("priority", 200)),
)


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


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "must hold queues, pools or contracts"),
        ({}, "must hold queues, pools or contracts"),
        ({"queue": {}}, "field 'queue' is unknown; the fields are queues, pools, contracts"),
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
