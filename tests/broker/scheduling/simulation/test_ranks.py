import pytest

from broker.scheduling.simulation.ageing import age_rank
from broker.scheduling.simulation.shortest_remaining import compute_remaining_service


def test_remaining_service_is_gpu_seconds():
    assert compute_remaining_service(100, 8) == 800


@pytest.mark.parametrize(("age", "rank"), [(0, 12), (1000, 12), (2000, 6), (4000, 3)])
def test_a_rank_shrinks_in_proportion_above_the_slowdown(age, rank):
    assert age_rank(12, age=age, length=100, aging_slowdown=10) == rank


def test_a_job_of_no_length_ages_as_one_of_ten_seconds():
    assert age_rank(12, age=200, length=0, aging_slowdown=10) == 6
