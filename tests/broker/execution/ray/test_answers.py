"""Answers as Ray 2.60 gave them here."""

import pytest

from broker.capacity.model import NodeCapacity
from broker.execution.engine import RunState
from broker.execution.ray.answers import UnreadableAnswer, count_nodes, read_job, read_nodes


@pytest.mark.parametrize(
    ("told", "state", "exit_code"),
    [
        ({"status": "PENDING"}, RunState.WAITING, None),
        ({"status": "RUNNING"}, RunState.ALIVE, None),
        ({"status": "SUCCEEDED", "driver_exit_code": 0}, RunState.EXITED, 0),
        ({"status": "SUCCEEDED"}, RunState.EXITED, 0),
        ({"status": "FAILED", "driver_exit_code": 75}, RunState.EXITED, 75),
        ({"status": "FAILED", "driver_exit_code": -9}, RunState.EXITED, -9),
        ({"status": "FAILED", "driver_exit_code": None}, RunState.GONE, None),
        ({"status": "STOPPED"}, RunState.GONE, None),
        ({"status": "A_STATUS_OF_NEXT_YEAR"}, RunState.ALIVE, None),
    ],
)
def test_status_of_a_job_is_told_as_that_of_its_run(told, state, exit_code):
    job = read_job(told)
    assert (job.run_state, job.exit_code) == (state, exit_code)


def test_detail_leaves_out_what_the_run_has_printed():
    message = "Job entrypoint command failed with exit code 75, last available logs:\nsecret of a customer\n"
    detail = read_job({"status": "FAILED", "driver_exit_code": 75, "message": message}).detail
    assert detail == "Ray job FAILED: Job entrypoint command failed with exit code 75, last available logs:"
    assert read_job({"status": "STOPPED", "message": None}).detail == "Ray job STOPPED"


def node_of(**fields):
    defaults = {"node_id": "2cbce028cbb150", "node_name": "vm", "node_ip": "10.0.0.1", "state": "ALIVE"}
    return defaults | {"resources_total": {"GPU": 4.0, "CPU": 8.0, "node:10.0.0.1": 1.0}} | fields


def test_live_nodes_with_the_resource_are_counted_by_name():
    told = [node_of(), node_of(node_id="bbf2832e24915e", node_name=None), node_of(node_id="dead0000", state="DEAD")]
    told.append(node_of(node_id="cpu00000", resources_total={"CPU": 2.5}))
    nodes = read_nodes({"data": {"result": {"result": told}}})
    assert count_nodes(nodes, "GPU") == (NodeCapacity("10.0.0.1-bbf2832e", 4), NodeCapacity("vm-2cbce028", 4))
    assert sum(node.gpus for node in count_nodes(nodes, "CPU")) == 18


@pytest.mark.parametrize("answer", [None, [], {}, {"status": "FAILED", "driver_exit_code": "many"}])
def test_job_of_another_shape_is_unreadable(answer):
    with pytest.raises(UnreadableAnswer):
        read_job(answer)


@pytest.mark.parametrize("answer", [None, {}, {"data": {"result": {"result": [{}]}}}])
def test_nodes_of_another_shape_are_unreadable(answer):
    with pytest.raises(UnreadableAnswer):
        read_nodes(answer)
