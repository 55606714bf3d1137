"""Which jobs of a batch are held back: in their order, so many at one time, those that run counted."""

from datetime import UTC, datetime, timedelta

from broker.jobs.reading.queueing import BatchLimit, Placement, QueuedJob
from broker.scheduling.cycle.batches import hold_back, notice_held_back

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def make_queued(number, batch=None, at_once=1):
    limit = None if batch is None else BatchLimit(batch, at_once)
    submitted = NOW + timedelta(microseconds=number)
    return QueuedJob(f"job_{number}", "con_a", "standard", 1, submitted, Placement(()), None, None, None, limit)


def list_held(waiting, running=()):
    return [job.id for job in hold_back(waiting, dict(running))]


def test_jobs_without_a_batch_and_those_within_its_limit_are_planned():
    waiting = [make_queued(1), make_queued(2, "bat_a", 2), make_queued(3, "bat_a", 2), make_queued(4, "bat_b")]
    assert list_held(waiting) == []


def test_the_later_ones_of_a_batch_wait_and_what_runs_counts():
    waiting = [make_queued(number, "bat_a", 2) for number in range(4)]
    assert list_held(waiting) == ["job_2", "job_3"]
    assert list_held(waiting, {"bat_a": 1, "bat_b": 9}.items()) == ["job_1", "job_2", "job_3"]
    assert list_held(waiting, {"bat_a": 2}.items()) == ["job_0", "job_1", "job_2", "job_3"]


def test_those_held_back_are_told_so_behind_all_others():
    one, two = notice_held_back([make_queued(1, "bat_a"), make_queued(2, "bat_b", 3)], behind=5)
    message = "At most 1 job of its batch runs at one time; earlier ones run, or go first."
    assert one.reason == {"code": "batch_limit", "message": message, "position": 6}
    assert two.reason["position"] == 7
    assert two.reason["message"].startswith("At most 3 jobs of its batch run at one time")
