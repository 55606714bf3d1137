"""Few attempts at once go to one endpoint and are of one customer, and one that fails keeps one place."""

from broker.webhooks.turns import MOST_TO_CUSTOMER, MOST_TO_ONE, Turn, choose_turns, list_full


def turns(count: int, endpoint: str, customer: str = "cus", *, is_failing: bool = False) -> list[Turn]:
    return [Turn(f"{endpoint}-{number}", endpoint, customer, is_failing) for number in range(count)]


def test_an_endpoint_gets_few_and_one_that_fails_gets_one() -> None:
    chosen = choose_turns([*turns(9, "well"), *turns(9, "ill", is_failing=True)], [], room=32)
    assert [each.endpoint_id for each in chosen] == ["well"] * MOST_TO_ONE + ["ill"]
    assert list_full(chosen) == ["ill", "well"]
    assert list_full(chosen[1:]) == ["ill"]


def test_what_is_under_way_counts_for_its_endpoint_and_its_customer() -> None:
    under_way = [*turns(3, "a"), *turns(4, "b")]
    due = [*turns(4, "a"), *turns(4, "c"), *turns(4, "d", "other")]
    chosen = choose_turns(due, under_way, room=32)
    assert [each.endpoint_id for each in chosen] == ["a"] * (MOST_TO_CUSTOMER - 7) + ["d"] * MOST_TO_ONE


def test_no_more_are_chosen_than_there_is_room_for() -> None:
    assert [each.delivery_id for each in choose_turns(turns(4, "a"), [], room=2)] == ["a-0", "a-1"]
