import pytest

from broker.scheduling.planning.rules.ageing import age_rank
from broker.scheduling.planning.rules.least_attained import find_level, find_seconds_to_next_level
from broker.scheduling.planning.rules.shortest_remaining import compute_remaining_service


def test_remaining_service_is_gpu_seconds():
    assert compute_remaining_service(100, 8) == 800


@pytest.mark.parametrize(("attained", "level"), [(0, 0), (9, 0), (10, 1), (10 - 1e-9, 1), (99, 1), (1e9, 2)])
def test_levels_are_reached_at_their_gpu_seconds(attained, level):
    assert find_level(attained, (10, 100)) == level


@pytest.mark.parametrize(("attained", "gpus", "seconds"), [(0, 1, 10), (2, 4, 2), (10, 3, 30), (100, 1, None)])
def test_the_next_level_is_so_many_seconds_of_running_away(attained, gpus, seconds):
    assert find_seconds_to_next_level(attained, gpus, (10, 100)) == seconds


@pytest.mark.parametrize(("age", "rank"), [(0, 12), (1000, 12), (2000, 6), (4000, 3)])
def test_a_rank_shrinks_in_proportion_above_the_slowdown(age, rank):
    assert age_rank(12, age=age, length=100, aging_slowdown=10) == rank


def test_a_job_of_no_length_ages_as_one_of_ten_seconds():
    assert age_rank(12, age=200, length=0, aging_slowdown=10) == 6
