import pytest

from broker.scheduling.simulation.layout import Contender, Nodes, place_in_order


def test_gpus_come_from_the_fullest_node_that_fits():
    nodes = Nodes(24, 8)
    nodes.take({0: 2, 1: 5})
    assert nodes.find_places(3) == {1: 3}
    assert nodes.find_places(4) == {0: 4}
    assert nodes.find_places(7) == {2: 7}


def test_a_job_never_spans_nodes_unless_it_is_larger_than_one():
    nodes = Nodes(16, 8)
    nodes.take({0: 5, 1: 5})
    assert nodes.free_gpus == 6
    assert nodes.find_places(4) is None


@pytest.mark.parametrize(("gpus", "places"), [(9, {0: 8, 2: 8}), (16, {0: 8, 2: 8}), (17, None)])
def test_a_job_larger_than_a_node_takes_whole_nodes(gpus, places):
    nodes = Nodes(24, 8)
    nodes.take({1: 1})
    assert nodes.find_places(gpus) == places


def test_nodes_of_one_gpu_are_gpus_that_go_together_as_they_come():
    nodes = Nodes(100, 1)
    nodes.take({0: 40})
    assert nodes.find_places(60) == {0: 60}
    assert nodes.find_places(61) is None


@pytest.mark.parametrize(
    ("total", "gpus", "fits"), [(20, 16, True), (20, 17, False), (20, 8, True), (2, 3, False), (20, 21, False)]
)
def test_the_last_node_is_smaller_and_is_no_whole_node(total, gpus, fits):
    assert Nodes(total, 8).can_ever_place(gpus) is fits
    assert (Nodes(total, 8).find_places(gpus) is not None) is fits


def test_what_was_given_back_is_free_again_and_a_copy_stands_alone():
    nodes = Nodes(8, 8)
    twin = nodes.copy()
    nodes.take({0: 8})
    assert (twin.free_gpus, nodes.find_places(1)) == (8, None)
    nodes.give_back({0: 8})
    assert nodes.find_places(8) == {0: 8}


def test_giving_out_a_gpu_twice_is_our_fault():
    nodes = Nodes(8, 8)
    with pytest.raises(AssertionError):
        nodes.take({0: 9})
    with pytest.raises(AssertionError):
        Nodes(8, 8).give_back({0: 1})


def test_nodes_where_nobody_is_displaced_come_first():
    nodes = Nodes(24, 8)
    nodes.take({0: 4})
    assert nodes.find_places(4) == {0: 4}
    assert nodes.find_places(4, idle=[0, 8, 2]) == {1: 4}
    assert nodes.find_places(4, idle=[0, 3, 2]) == {0: 4}
    assert nodes.find_places(16, idle=[0, 3, 2]) == {1: 8, 2: 8}


def test_jobs_are_placed_in_order_and_stay_where_they_run_if_they_can():
    runs, large, small = Contender(1, 4, {1: 4}), Contender(2, 8), Contender(3, 4)
    room = Nodes(16, 8)
    assert place_in_order([runs, large, small], room, idle=[8, 4]) == {1: {1: 4}, 2: {0: 8}, 3: {1: 4}}
    assert place_in_order([Contender(9, 16), runs], Nodes(16, 8), idle=[8, 4]) == {9: {0: 8, 1: 8}}


def test_a_running_job_moves_where_somebody_before_it_takes_its_node():
    large, runs = Contender(2, 8), Contender(1, 4, {0: 4})
    assert place_in_order([large, runs], Nodes(8, 8), idle=[4]) == {2: {0: 8}}
    full = Contender(3, 6, {1: 6})
    assert place_in_order([full, large, runs], Nodes(24, 8), idle=[4, 2, 0]) == {3: {1: 6}, 2: {0: 8}, 1: {2: 4}}
