"""What is said of a job: never as started when it is queued, and never as stopping for ever."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.console.customer.job_words import CAUSE_NAMES, STATUS_NAMES, describe_silence, describe_status
from broker.jobs.rules.lost_work_words import REASONS
from broker.jobs.rules.model import JobStatus

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@dataclass
class Job:
    status: str
    stop_requested: str | None = None
    pause_reason: str | None = None
    pending_reason: dict[str, Any] | None = None
    progress: dict[str, Any] | None = field(default_factory=dict)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Job("queued", pending_reason={"position": 3}), "queued as no. 3"),
        (Job("queued", pending_reason={"position": 1}, progress={"step": 40}), "queued as no. 1"),
        (Job("queued"), "queued, not placed yet"),
        (Job("dispatched"), "a machine was found; its process is being started"),
        (Job("running"), "running: it loads the model and the data"),
        (Job("running", progress={"step": 1}), "running"),
        (Job("running", stop_requested="cancel", progress={"step": 1}), "told to stop; it saves first"),
        (Job("paused", pause_reason="limit"), "paused at its limit"),
        (Job("succeeded"), "succeeded"),
    ],
)
def test_a_status_is_said_in_words_that_are_true(job: Job, words: str) -> None:
    told = describe_status(job)
    assert told.words % told.params == words


def test_a_run_that_is_not_heard_is_told_with_since_when() -> None:
    long_ago, just_now = NOW - timedelta(minutes=5), NOW - timedelta(seconds=5)
    assert describe_silence(Job("running"), long_ago, NOW) == long_ago
    assert describe_silence(Job("running"), just_now, NOW) is None
    assert describe_silence(Job("queued"), long_ago, NOW) is None


def test_every_status_and_every_cause_that_is_on_us_has_its_words() -> None:
    assert set(STATUS_NAMES) == set(JobStatus)
    assert {cause: CAUSE_NAMES[cause] for cause in REASONS}
