from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.values.jobs import Shape, WaitingJob
from broker.scheduling.planning.values.pools import Node, NodeState, PoolState
from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueState
from broker.scheduling.simulation.guarantee_watch import GuaranteeWatch
from broker.scheduling.simulation.offered import Offered
from broker.scheduling.simulation.played import MissedGuarantee

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)
OWN = "dedicated:con_a"


def moment(seconds):
    return BEGAN + timedelta(seconds=seconds)


def job(job_id, *, gpus=1, queue=OWN, contract="con_a"):
    return WaitingJob(job_id, contract, queue, Shape.of_any_type(gpus, 100), BEGAN)


def watch(*guarantees):
    made = GuaranteeWatch()
    made.tell_queues([QueueState("standard", 100), QueueState(OWN, 200, contract_id="con_a")])
    made.tell_share(ContractShare("con_a", guarantees=guarantees or (Guarantee("a100", 2),)))
    return made


def test_gpus_that_are_lacking_for_longer_than_the_grace_are_missed():
    made = watch()
    made.come(job("a", gpus=2))
    made.look(moment(0))
    made.hold("con_a", OWN, "a100", 2)
    made.leave("a")
    made.look(moment(61))
    assert made.close(moment(100)) == {("con_a", OWN): MissedGuarantee(1, 122)}


def test_what_comes_back_within_the_grace_is_not_missed():
    made = watch()
    made.come(job("a"))
    made.look(moment(0))
    made.leave("a")
    made.look(moment(60))
    assert made.close(moment(100)) == {}


def test_what_still_lacks_when_the_window_ends_counts_to_there():
    made = watch()
    made.come(job("a"))
    made.look(moment(0))
    assert made.close(moment(90)) == {("con_a", OWN): MissedGuarantee(1, 90)}


def test_only_what_was_sold_and_is_waited_for_in_its_own_queue_is_lacking():
    made = watch(Guarantee("a100", 1, promised=2))
    made.come(job("larger", gpus=3))
    made.come(job("elsewhere", queue="standard"))
    made.come(job("others", contract="con_b"))
    made.look(moment(0))
    assert made.spells == {}
    made.hold("con_a", OWN, "a100", 1)
    made.hold("con_b", OWN, "a100", 9)
    made.come(job("a", gpus=1))
    made.look(moment(1))
    assert [spell.gpus for spell in made.spells.values()] == [1]
    made.tell_share(ContractShare("con_a"))
    made.look(moment(2))
    assert made.spells == {}


def test_gpu_seconds_that_there_are_follow_pools_and_nodes_that_come_and_go():
    up, down = Node("n0", 2), Node("n1", 2, state=NodeState.DOWN)
    offered = Offered(BEGAN)
    offered.change([PoolState("one", "a100", 4, 4), PoolState("two", "a100", 2, 2, nodes=(up, down))], moment(0))
    offered.change([PoolState("two", "a100", 4, 4, nodes=(up, Node("n1", 2, unavailable=1)))], moment(10))
    offered.count_to(moment(15))
    assert offered.gpu_seconds == {"one": 40, "two": 35}
