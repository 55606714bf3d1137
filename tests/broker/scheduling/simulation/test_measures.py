import pytest

from broker.scheduling.simulation.measures import EndedJob, Measures, find_percentile, measure_run


def ended(job_id, *, came=0.0, began=0.0, ended, run, gpus=1, deadline=None):
    return EndedJob(job_id, came, began, ended, run, gpus, deadline)


def test_measures_are_those_of_the_field():
    run = [
        ended("a", began=0, ended=100, run=100, gpus=2, deadline=100),
        ended("b", came=10, began=100, ended=140, run=40, deadline=139),
        ended("c", came=20, began=140, ended=141, run=1),
    ]
    assert measure_run(run, total_gpus=2) == Measures(
        jobs=3,
        avg_bounded_slowdown=pytest.approx((1 + 130 / 40 + 121 / 10) / 3),
        avg_jct_s=pytest.approx((100 + 130 + 121) / 3),
        makespan_s=141,
        p50_wait_s=90,
        p99_wait_s=120,
        max_slowdown=12.1,
        utilisation=pytest.approx(241 / 282),
        deadline_met_ratio=0.5,
    )


def test_a_job_under_ten_seconds_that_never_waited_is_not_slowed_down():
    assert ended("a", ended=1, run=1).bounded_slowdown == 1


def test_time_lost_to_preemption_counts_as_wait():
    assert ended("a", ended=500, run=100).wait_seconds == 400


def test_jobs_that_take_no_time_at_all_are_measured():
    assert measure_run([ended("a", ended=0, run=0)], total_gpus=1).utilisation == 0
    assert measure_run([ended("a", ended=0, run=0)], total_gpus=1).deadline_met_ratio is None


def test_nothing_cannot_be_measured():
    with pytest.raises(ValueError, match="no job ended"):
        measure_run([], total_gpus=1)


@pytest.mark.parametrize(("per_cent", "value"), [(50, 2), (99, 4), (25, 1), (26, 2), (1, 1)])
def test_percentiles_are_nearest_rank(per_cent, value):
    assert find_percentile([1, 2, 3, 4], per_cent) == value


def test_a_deadline_is_met_whatever_the_last_digits_of_the_sums_are():
    """Milliseconds as seconds: 0.1 + 0.2 is above 0.3 by a digit."""
    assert ended("a", came=0.1, began=0.1, ended=0.1 + 0.2, run=0.2, deadline=0.3).met_deadline
    assert not ended("a", ended=0.301, run=0.2, deadline=0.3).met_deadline
