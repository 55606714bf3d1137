"""What a job of a cluster says of its run."""

import pytest

from broker.execution.cluster_job import NEVER_STARTED, judge_job
from broker.execution.engine import RunObservation, RunState
from broker.execution.ray.answers import JobSeen


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_job_that_is_not_over_needs_no_word(status):
    seen = judge_job("run_1", JobSeen(status, message="Job has not started yet."), has_started=False)
    assert not seen.is_over
    assert seen.detail == ""


def test_exit_code_is_that_of_a_trainer_that_has_started():
    assert judge_job("run_1", JobSeen("FAILED", 75), has_started=True) == RunObservation(
        "run_1", RunState.EXITED, 75, "Ray job FAILED"
    )


def test_job_that_ended_without_starting_a_trainer_is_gone_with_the_likely_cause():
    seen = judge_job("run_1", JobSeen("SUCCEEDED", 0), has_started=False)
    assert seen == RunObservation("run_1", RunState.GONE, detail=f"Ray job SUCCEEDED: {NEVER_STARTED}")


def test_lost_job_is_told_in_the_words_of_its_cluster():
    seen = judge_job("run_1", JobSeen("FAILED", message="The node died.\nlogs"), has_started=True)
    assert seen == RunObservation("run_1", RunState.GONE, detail="Ray job FAILED: The node died.")
