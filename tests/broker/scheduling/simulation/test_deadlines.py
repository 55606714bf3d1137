import pytest

from broker.scheduling.simulation.deadlines import DatedJob, meet_all
from broker.scheduling.simulation.layout import Nodes


def dated(number, *, gpus=8, left=100.0, due=100.0, places=None, restart=0.0):
    return DatedJob(number, gpus, left, due, places or {}, restart, has_run=places is not None)


def can_meet(*jobs, gpus=8, now=0.0, restart=30.0):
    return meet_all(jobs, Nodes(gpus, 8), now, restart_seconds=restart)


@pytest.mark.parametrize(("due", "met"), [(100, True), (99, False)])
def test_a_deadline_is_met_to_the_second(due, met):
    assert can_meet(dated(1, due=due)) is met


def test_jobs_one_after_the_other_are_met_whichever_comes_first():
    assert can_meet(dated(1, due=200), dated(2, due=100))
    assert not can_meet(dated(1, due=199), dated(2, due=100))


def test_jobs_on_nodes_of_their_own_do_not_disturb_each_other():
    assert can_meet(dated(1), dated(2), gpus=16)
    assert not can_meet(dated(1), dated(2, gpus=9), gpus=16)


@pytest.mark.parametrize(("due", "met"), [(180, True), (179, False)])
def test_a_job_that_yields_pays_its_restart(due, met):
    """The first runs, yields to the more urgent for 50 s, and pays 30 s when it goes on."""
    assert can_meet(dated(1, due=due, places={0: 8}), dated(2, left=50, due=60)) is met


@pytest.mark.parametrize(("due", "met"), [(120, True), (119, False)])
def test_a_restart_under_way_is_counted(due, met):
    assert can_meet(dated(1, due=due, places={0: 8}, restart=20)) is met


def test_a_job_that_fits_nowhere_is_not_met():
    assert not can_meet(dated(1, gpus=9, due=1e9))


def test_nothing_promised_is_kept():
    assert can_meet()
