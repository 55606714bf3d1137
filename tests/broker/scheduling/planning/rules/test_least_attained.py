import pytest

from broker.scheduling.planning.rules.least_attained import find_level, find_seconds_to_next_level


@pytest.mark.parametrize(("attained", "level"), [(0, 0), (9, 0), (10, 1), (10 - 1e-9, 1), (99, 1), (1e9, 2)])
def test_levels_are_reached_at_their_gpu_seconds(attained, level):
    assert find_level(attained, (10, 100)) == level


@pytest.mark.parametrize(("attained", "gpus", "seconds"), [(0, 1, 10), (2, 4, 2), (10, 3, 30), (100, 1, None)])
def test_the_next_level_is_so_many_seconds_of_running_away(attained, gpus, seconds):
    assert find_seconds_to_next_level(attained, gpus, (10, 100)) == seconds
