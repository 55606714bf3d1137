"""Answers as Slurm 22.05 printed them here, and as newer releases document them."""

import pytest

from broker.capacity.model import NodeCapacity, NodeState
from broker.execution.engine import RunState
from broker.execution.slurm.answers import (
    UnreadableAnswer,
    count_gres,
    parse_answer,
    read_account,
    read_errors,
    read_jobs,
    read_nodes,
)


def job_of(**fields):
    defaults = {"job_id": 7, "name": "run_1", "job_state": "RUNNING", "nodes": "n1", "exit_code": 0}
    [job] = read_jobs({"jobs": [defaults | fields]})
    return job


def number(value):
    return {"set": True, "infinite": False, "number": value}


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ("PENDING", RunState.WAITING),
        (["PENDING"], RunState.WAITING),
        ("CONFIGURING", RunState.WAITING),
        ("RUNNING", RunState.ALIVE),
        ("SUSPENDED", RunState.ALIVE),
        ("COMPLETING", RunState.ALIVE),
        (["CANCELLED", "COMPLETING"], RunState.ALIVE),
        ("COMPLETED", RunState.EXITED),
        (["FAILED"], RunState.EXITED),
        ("TIMEOUT", RunState.EXITED),
        ("OUT_OF_MEMORY", RunState.EXITED),
        ("NODE_FAIL", RunState.GONE),
        (["NODE_FAIL", "COMPLETING"], RunState.GONE),
        ("BOOT_FAIL", RunState.GONE),
        ("A_STATE_OF_NEXT_YEAR", RunState.ALIVE),
    ],
)
def test_state_of_a_job_is_told_as_that_of_its_run(states, state):
    assert job_of(job_state=states).run_state is state


@pytest.mark.parametrize(
    ("told", "exit_code"),
    [
        (0, 0),
        (19200, 75),  # a wait status, in 22.05
        (9, -9),
        ({"status": ["ERROR"], "return_code": 75}, 75),
        ({"status": ["ERROR"], "return_code": number(75), "signal": {"id": {"set": False, "number": 0}}}, 75),
        ({"status": ["SIGNALED"], "return_code": number(0), "signal": {"id": number(9), "name": "KILL"}}, -9),
        ({"status": "SIGNALED", "signal": {"signal_id": 15, "name": "TERM"}}, -15),
        (None, None),
    ],
)
def test_exit_code_is_read_from_every_release(told, exit_code):
    assert job_of(job_state="FAILED", exit_code=told).exit_code == exit_code


def test_job_that_runs_has_no_exit_code():
    assert job_of(exit_code=0).exit_code is None


def test_ended_job_without_an_exit_code_of_its_own_is_gone():
    assert job_of(job_state="FAILED", exit_code=None).run_state is RunState.GONE
    assert job_of(job_state="CANCELLED", exit_code=0).run_state is RunState.GONE


@pytest.mark.parametrize(
    ("line", "state", "exit_code"),
    [
        ("7|run_1|COMPLETED|0:0|n1", RunState.EXITED, 0),
        ("7|run_1|FAILED|75:0|n1", RunState.EXITED, 75),
        ("7|run_1|FAILED|0:9|n1", RunState.EXITED, -9),
        ("7|run_1|CANCELLED by 0|0:0|n1", RunState.GONE, 0),
        ("7|run_1|NODE_FAIL|0:0|n1", RunState.GONE, None),
        ("7|run_1|OUT_OF_MEMORY|0:125|n1", RunState.GONE, None),
        ("7|run_1|RUNNING|0:0|n1", RunState.ALIVE, None),
        ("7|run_1|PENDING|0:0|None assigned", RunState.WAITING, None),
    ],
)
def test_answer_of_the_accounting_database_is_read_as_it_was_printed(line, state, exit_code):
    job = read_account(line)
    assert (job.job, job.name, job.run_state, job.exit_code) == ("7", "run_1", state, exit_code)


@pytest.mark.parametrize("line", ["", "7|run_1|FAILED|75|n1", "7|FAILED|75:0|n1", "7|run_1|FAILED|x:0|n1"])
def test_account_of_another_shape_is_unreadable(line):
    with pytest.raises(UnreadableAnswer):
        read_account(line)


def test_detail_names_job_node_and_reason():
    assert job_of(job_state="NODE_FAIL", state_reason="NodeDown").detail == "Slurm job 7 on n1: NODE_FAIL (NodeDown)"
    assert job_of(job_state="FAILED", state_reason="None", nodes="").detail == "Slurm job 7: FAILED"


def test_controller_that_was_not_reached_is_an_error_although_the_command_exits_with_0():
    errors = [{"description": "Failed while looking for jobs", "error_number": -1, "error": "Unspecified error"}]
    assert read_errors({"errors": errors, "jobs": []}) == "Failed while looking for jobs"
    assert read_errors({"errors": [], "jobs": []}) == read_errors({"jobs": []}) == ""


@pytest.mark.parametrize("text", ["", "squeue: error", "[]", "null"])
def test_answer_that_is_no_object_is_unreadable(text):
    with pytest.raises(UnreadableAnswer):
        parse_answer(text)


@pytest.mark.parametrize("answer", [{}, {"jobs": [{}]}, {"jobs": [{"job_id": 1, "job_state": 3}]}])
def test_job_of_another_shape_is_unreadable(answer):
    with pytest.raises(UnreadableAnswer):
        read_jobs(answer)


@pytest.mark.parametrize(
    ("offered", "wanted", "count"),
    [
        ("gpu:4", "gpu", 4),
        ("gpu:a100:4(S:0-1)", "gpu", 4),
        ("gpu:a100:4(S:0-1)", "gpu:a100", 4),
        ("gpu:a100:4,gpu:v100:2", "gpu", 6),
        ("gpu:a100:4(S:0,1),gpu:v100:2(S:1)", "gpu:v100", 2),
        ("gpu:a100:4", "gpu:a10", 0),
        ("shard:16,gpu:1", "gpu", 1),
        ("(null)", "gpu", 0),
        ("", "gpu", 0),
    ],
)
def test_gpus_are_counted_by_name_or_type(offered, wanted, count):
    assert count_gres(offered, wanted) == count


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("idle", NodeState.OPEN),
        ("mixed", NodeState.OPEN),
        ("allocated", NodeState.OPEN),
        ("completing", NodeState.OPEN),
        ("idle~", NodeState.OPEN),  # asleep: Slurm wakes it
        ("idle*", NodeState.DOWN),  # does not answer
        ("down*", NodeState.DOWN),
        ("down", NodeState.DOWN),
        ("drained", NodeState.DRAINING),
        ("draining", NodeState.DRAINING),
        ("drained*", NodeState.DOWN),
        ("reserved", NodeState.DRAINING),
        ("inval", NodeState.DOWN),
        ("unknown", NodeState.DOWN),
    ],
)
def test_state_of_a_node_says_whether_it_takes_starts(word, state):
    assert read_nodes([f"n1|{word}|gpu:4|16"], gres="gpu") == (NodeCapacity("n1", 4, state),)


def test_node_of_several_partitions_counts_once_and_one_without_gpus_not_at_all():
    lines = ["n2|idle|gpu:2|16\n", "n1|idle|gpu:4|16", "n1|idle|gpu:4|16", "login|idle|(null)|8", ""]
    assert read_nodes(lines, gres="gpu") == (NodeCapacity("n1", 4), NodeCapacity("n2", 2))
    assert sum(node.gpus for node in read_nodes(lines, gres=None)) == 40


def test_line_of_another_shape_is_unreadable():
    with pytest.raises(UnreadableAnswer):
        read_nodes(["n1 idle"], gres="gpu")
