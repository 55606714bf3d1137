"""Expected starts: node by node, and with those whom their batches hold back at their turn."""

from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.values.answers import ReasonCode
from broker.scheduling.planning.values.jobs import Place, RunningJob, Shape, TypeOption, WaitingJob
from broker.scheduling.planning.values.pools import Node, NodeState, PoolState
from broker.scheduling.planning.values.queues import QueueState
from broker.scheduling.planning.values.snapshot import Batch, ClusterSnapshot
from broker.scheduling.planning.waits.newcomers import forecast_newcomers
from tests.broker.scheduling.planning.whole_plan import plan_cycle

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
STANDARD, PRIORITY = QueueState("standard", 100), QueueState("priority", 200)


def make_job(number, *, gpus=1, seconds=600, queue="standard"):
    shape = Shape(gpus, (TypeOption("cpu", seconds, 2 * seconds),))
    return WaitingJob(f"job_{number}", "con_a", queue, shape, NOW - timedelta(minutes=60 - number))


def make_run(name, ends_in, *, gpus=1, node=""):
    places = (Place(node, gpus),) if node else ()
    return RunningJob(
        name,
        "con_x",
        "pool",
        gpus,
        NOW,
        NOW + timedelta(seconds=ends_in),
        NOW + timedelta(seconds=2 * ends_in),
        places=places,
    )


def make_pool(*nodes, total=1, free=0):
    return PoolState("pool", "cpu", sum(node.total for node in nodes) or total, free, nodes=nodes)


def plan(*waiting, pool, running=(), batches=()):
    snapshot = ClusterSnapshot((pool,), (STANDARD, PRIORITY), waiting, tuple(running), batches=tuple(batches))
    return snapshot, plan_cycle(snapshot, now=NOW)


def expect(*waiting, **told):
    _snapshot, cycle = plan(*waiting, **told)
    return {wait.job_id: count_seconds(wait.expected_start) for wait in cycle.waits}


def count_seconds(moment):
    return None if moment is None else int((moment - NOW).total_seconds())


def test_a_job_starts_when_one_node_has_room_not_when_the_pool_has():
    """A past fault: halves of two nodes were a date for a job that needs a whole one."""
    pool = make_pool(Node("one", 8), Node("two", 8))
    running = [make_run("a", 100, gpus=4, node="one"), make_run("b", 300, gpus=8, node="two")]
    running += [make_run("c", 500, gpus=4, node="one")]
    assert expect(make_job(1, gpus=8), pool=pool, running=running) == {"job_1": 300}
    assert expect(make_job(1, gpus=4), pool=pool, running=running) == {"job_1": 100}


def test_a_job_larger_than_every_node_that_takes_starts_has_no_date():
    """A past fault: 16 GPUs on nodes of 8 were promised for when 16 are free."""
    pool = make_pool(Node("one", 8), Node("two", 8), Node("large", 16, state=NodeState.DRAINING))
    assert expect(make_job(1, gpus=16), pool=pool) == {"job_1": None}


def test_newcomers_are_told_by_node_too():
    pool = make_pool(Node("one", 4), Node("two", 4))
    running = [make_run("a", 100, gpus=3, node="one"), make_run("b", 300, gpus=3, node="two")]
    snapshot, cycle = plan(pool=pool, running=running)
    told = {
        (each.priority, each.gpus): count_seconds(each.p50) for each in forecast_newcomers(snapshot, cycle, now=NOW)
    }
    assert [told[100, gpus] for gpus in (1, 2, 4)] == [0, 100, 100]


def test_the_line_has_those_whom_their_batch_holds_back_at_their_turn():
    """A past fault: they were left out, and everybody behind them was promised a start too early."""
    pool = make_pool(total=1)
    batch = Batch("bat_a", 1, ("job_1",), (make_job(2), make_job(3)))
    found = expect(make_job(1), make_job(4, queue="priority"), pool=pool, running=[make_run("x", 60)], batches=[batch])
    assert found == {"job_4": 60, "job_1": 660, "job_2": 1260, "job_3": 1860}


def test_who_can_start_before_the_turn_of_a_held_job_does_not_wait_for_it():
    pool = make_pool(total=2)
    running = [make_run("job_0", 1000), make_run("x", 100)]
    batch = Batch("bat_a", 1, ("job_0",), (make_job(1),))
    assert expect(make_job(2, seconds=300), make_job(3), pool=pool, running=running, batches=[batch]) == {
        "job_2": 100,
        "job_3": 400,
        "job_1": 1000,
    }


def test_newcomers_come_after_held_jobs_whose_turn_is_before_theirs_and_are_as_urgent():
    batch = Batch("bat_a", 1, ("job_0",), (make_job(1), make_job(2)))
    snapshot, cycle = plan(pool=make_pool(total=1), running=[make_run("job_0", 100)], batches=[batch])
    found = {each.priority: count_seconds(each.p50) for each in forecast_newcomers(snapshot, cycle, now=NOW)}
    assert found == {200: 100, 100: 1300}


def test_held_jobs_are_told_why_in_both_languages_behind_all_others():
    batch = Batch("bat_a", 1, ("job_0",), (make_job(2),))
    _snapshot, cycle = plan(make_job(1), pool=make_pool(total=1), running=[make_run("job_0", 100)], batches=[batch])
    assert [wait.job_id for wait in cycle.waits] == ["job_1", "job_2"]
    reason = cycle.waits[1].reason
    assert (reason.code, cycle.waits[1].position) == (ReasonCode.BATCH_LIMIT, 2)
    assert reason.message == "At most 1 job of its batch runs at one time; earlier ones run, or go first."
    assert reason.message_zh == "同一批次同时最多运行 1 个作业；较早的正在运行，或排在它前面。"


def test_a_batch_whose_running_jobs_nobody_sees_end_has_no_dates():
    batch = Batch("bat_a", 1, ("job_1",), (make_job(2),))
    pool = PoolState("pool", "cpu", 1, 0)
    assert expect(make_job(1), pool=pool, batches=[batch]) == {"job_1": None, "job_2": None}
