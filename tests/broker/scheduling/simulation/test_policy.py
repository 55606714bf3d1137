import pytest

from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.simulation.policy import Backfill, BadPolicy, PolicySettings, read_policy

ATTAINED = {"discipline": "least-attained-service", "preempt": True}


def test_a_policy_says_the_order_who_may_pass_and_how_long_anybody_waits():
    document = {"discipline": "shortest-remaining-service", "backfill": "shortest-first", "max_wait_seconds": 86400}
    assert read_policy(document) == PolicySettings(
        Discipline.SHORTEST_REMAINING, Backfill.SHORTEST_FIRST, max_wait_seconds=86400
    )


def test_attained_service_ages_later_than_remaining_service():
    assert read_policy(ATTAINED).aging_slowdown == 100
    assert read_policy({"discipline": "shortest-remaining-service", "preempt": True}).aging_slowdown == 10


def test_an_empty_policy_is_todays_planner():
    assert read_policy({}) == PolicySettings()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "must hold fields with values"),
        (["fair"], "must hold fields with values"),
        ({"order": "fair"}, "field 'order' is unknown; the fields are discipline"),
        ({"discipline": "random"}, "discipline must be one of fair, first-come"),
        ({"discipline": ["fair"]}, "discipline must be one of"),
        ({"backfill": True}, "backfill must be one of planner, none, first-come, shortest-first"),
        (
            {"discipline": "first-come", "max_wait_seconds": 0},
            "max_wait_seconds must be a number of seconds above 0",
        ),
        ({"discipline": "first-come", "max_wait_seconds": float("nan")}, "max_wait_seconds must be a number"),
        ({"max_wait_s": 9, "max_wait_seconds": 9}, "max_wait_s is called max_wait_seconds now"),
        ({"discipline": "first-come", "max_wait_seconds": True}, "max_wait_seconds must be a number"),
        ({"discipline": "first-come", "max_wait_seconds": 10**400}, "max_wait_seconds must be a number"),
        ({"discipline": "first-come", "preempt": True, "restart_s": 1e300}, "restart_s must be a number"),
        ({"discipline": "first-come", "restart_s": 30}, "restart_s needs preempt: true"),
        ({**ATTAINED, "levels_gpu_s": []}, "levels_gpu_s must be a list of GPU-seconds"),
        ({"backfill": "first-come"}, "which only today's planner has"),
        ({"discipline": "first-come", "preempt": 1}, "preempt must be true or false, and is 1"),
        ({"discipline": "first-come", "preempt": True, "backfill": "first-come"}, "backfill must be left out"),
        ({"discipline": "first-come", "preempt": True, "max_wait_seconds": 9}, "max_wait_seconds must be left out"),
        ({"discipline": "first-come", "preempt": True, "aging_slowdown": 0.5}, "aging_slowdown must be a number of at"),
        ({"discipline": "first-come", "preempt": True, "restart_s": -1}, "restart_s must be a number of seconds"),
        ({"discipline": "first-come", "aging_slowdown": 9}, "aging_slowdown needs preempt: true"),
        ({"discipline": "first-come", "deadlines": "promise"}, "deadlines: promise needs preempt: true"),
        ({"discipline": "first-come", "levels_gpu_s": [1]}, "levels_gpu_s must be left out"),
        ({"discipline": "least-attained-service"}, "needs preempt: true"),
        ({**ATTAINED, "levels_gpu_s": [2, 1]}, "levels_gpu_s must ascend"),
        ({**ATTAINED, "levels_gpu_s": [0, 1]}, "levels_gpu_s must ascend"),
        ({**ATTAINED, "levels_gpu_s": 5}, "levels_gpu_s must be a list"),
        ({**ATTAINED, "levels_gpu_s": ["1"]}, "levels_gpu_s must be a list"),
    ],
)
def test_a_policy_that_says_what_none_can_is_refused_by_its_field(document, told):
    with pytest.raises(BadPolicy, match=told):
        read_policy(document)
