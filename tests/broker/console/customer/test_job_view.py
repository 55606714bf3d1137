"""What a job's page is made of: the time to its start adds up and is named, caps are found, samples stand by step."""

from types import SimpleNamespace

import pytest

from broker.console.customer.job_view import BAR_WIDTH, find_cap, group_samples, join_waits, pair_samples, place_waits
from broker.console.customer.job_words import WAIT_NAMES
from broker.jobs.reading.course import SampleAt
from broker.jobs.rules.time_to_start import Segment, TimeToStart, WaitCause
from broker.scheduling.planning.values.answers import ReasonCode

TOLD = TimeToStart((Segment(WaitCause.QUEUED, 100.0), Segment(WaitCause.STARTING, 20.0)), is_over=True)


def test_every_reason_to_wait_has_a_name() -> None:
    assert {code.value for code in ReasonCode} <= set(WAIT_NAMES)


def test_the_causes_of_the_queue_take_the_place_of_the_queue_and_what_is_unaccounted_stands_last() -> None:
    waits = join_waits({"unaccounted": 10, "waiting_for_gpus": 70, "paused": 20}, TOLD)
    assert waits == {"waiting_for_gpus": 70, "paused": 20, WaitCause.STARTING: 20.0, WaitCause.UNACCOUNTED: 10}
    parts = place_waits(waits)
    assert [part.name for part in parts] == ["GPUs in use", "paused", "starting its process", "unaccounted"]
    assert sum(part.width for part in parts) == pytest.approx(BAR_WIDTH, abs=0.05)
    assert parts[-1].colour == "u"


def test_without_kept_causes_it_was_in_the_queue() -> None:
    assert join_waits({}, TOLD) == {WaitCause.QUEUED: 100.0, WaitCause.STARTING: 20.0}
    assert place_waits({}) == []


@pytest.mark.parametrize(
    ("caps", "found"), [((1, 2, 3), 1), ((None, 2, 3), 2), ((None, None, 3), 3), ((None, None, None), None)]
)
def test_the_narrowest_promise_is_the_cap(caps: tuple[int | None, ...], found: int | None) -> None:
    job = SimpleNamespace(max_cost_micros=caps[0], limit_micros=caps[1], cap_micros=caps[2])
    assert find_cap(job)[0] == found


def test_samples_stand_by_step_the_newest_first_and_of_a_step_done_twice_the_last() -> None:
    samples = [
        SampleAt(1, 10, "tea?", "a", None),
        SampleAt(2, 20, "tea?", "b", None),
        SampleAt(3, 10, "tea?", "c", None),
    ]
    assert [(step, [each.text for each in own]) for step, own in group_samples(samples)] == [(20, ["b"]), (10, ["c"])]


def test_last_samples_of_jobs_stand_beside_each_other_by_prompt():
    def sample(step, prompt):
        return SampleAt(step, step, prompt, f"{prompt} at {step}", None)

    one = [sample(5, "only here"), sample(5, "tea"), sample(9, "tea")]
    assert pair_samples([one, [], [sample(7, "tea")]]) == [
        ("tea", [one[2], None, sample(7, "tea")]),
        ("only here", [one[0], None, None]),
    ]
    assert pair_samples([[], []]) == []
