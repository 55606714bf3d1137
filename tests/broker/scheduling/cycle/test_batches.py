"""Which jobs of a batch are held back: in their order, so many at one time, those that run counted."""

from datetime import UTC, datetime, timedelta

from broker.jobs.reading.line import BatchLimit, Placement, QueuedJob
from broker.scheduling.cycle.batches import describe_batches, hold_back
from pricing.estimate.type_choice import TypedRun

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def make_queued(number, batch=None, at_once=1):
    limit = None if batch is None else BatchLimit(batch, at_once)
    submitted = NOW + timedelta(microseconds=number)
    placement = Placement((TypedRun("", 60, 90, 0),))
    return QueuedJob(f"job_{number}", "con_a", "standard", 1, submitted, placement, None, limit)


def list_held(waiting, running=None):
    return [job.id for job in hold_back(waiting, running or {})]


def test_jobs_without_a_batch_and_those_within_its_limit_are_planned():
    waiting = [make_queued(1), make_queued(2, "bat_a", 2), make_queued(3, "bat_a", 2), make_queued(4, "bat_b")]
    assert list_held(waiting) == []


def test_the_later_ones_of_a_batch_wait_and_what_runs_counts():
    waiting = [make_queued(number, "bat_a", 2) for number in range(4)]
    assert list_held(waiting) == ["job_2", "job_3"]
    assert list_held(waiting, {"bat_a": ["x"], "bat_b": ["y"]}) == ["job_1", "job_2", "job_3"]
    assert list_held(waiting, {"bat_a": ["x", "y"]}) == ["job_0", "job_1", "job_2", "job_3"]


def test_one_that_cannot_be_planned_takes_no_place_of_its_batch():
    """A past fault: a job of a sweep that was set aside kept all behind it from running, for good."""
    waiting = [make_queued(number, "bat_a") for number in range(3)]
    assert [job.id for job in hold_back(waiting, {}, {"job_0"})] == ["job_2"]


def test_batches_are_described_with_those_that_run_or_may_start_and_those_behind_them():
    ready, held = [make_queued(1, "bat_a", 2), make_queued(2)], [make_queued(3, "bat_a", 2), make_queued(4, "bat_a", 2)]
    (batch,) = describe_batches(held, ready, {"bat_a": ["job_0"], "bat_b": ["job_9"]})
    assert (batch.at_once, batch.present) == (2, ("job_0", "job_1"))
    assert [job.job_id for job in batch.held] == ["job_3", "job_4"]
