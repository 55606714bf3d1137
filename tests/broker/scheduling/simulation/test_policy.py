import pytest

from broker.scheduling.simulation.policy import Backfill, BadPolicy, Discipline, PolicySettings, read_policy


def test_a_policy_says_the_order_who_may_pass_and_how_long_anybody_waits():
    document = {"discipline": "shortest-remaining-service", "backfill": "shortest-first", "max_wait_s": 86400}
    assert read_policy(document) == PolicySettings(Discipline.SHORTEST_REMAINING, Backfill.SHORTEST_FIRST, 86400)


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
        ({"backfill": True}, "backfill must be one of none, first-come, shortest-first"),
        ({"discipline": "first-come", "max_wait_s": 0}, "max_wait_s must be a number of seconds above 0, and is 0"),
        ({"discipline": "first-come", "max_wait_s": float("nan")}, "max_wait_s must be a number"),
        ({"discipline": "first-come", "max_wait_s": True}, "max_wait_s must be a number"),
        ({"backfill": "first-come"}, "it takes no other field"),
    ],
)
def test_a_policy_that_says_what_none_can_is_refused_by_its_field(document, told):
    with pytest.raises(BadPolicy, match=told):
        read_policy(document)
