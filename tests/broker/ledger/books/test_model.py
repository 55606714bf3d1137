"""What a transfer moves, netted into pairs of accounts."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from broker.ledger.books.model import Move, move, net_moves
from pricing.usage import Unit

GPU, MONEY = Unit.GPU_SECONDS, Unit.MICRO_YUAN
ACCOUNTS = st.sampled_from(["a", "b", "c", "d"])
MOVES = st.lists(st.builds(Move, ACCOUNTS, ACCOUNTS, st.sampled_from([GPU, MONEY]), st.integers(-50, 50)))


def test_account_that_units_only_pass_through_is_left_out() -> None:
    assert net_moves([*move("grant", "held", GPU, 7), *move("held", "used", GPU, 7)]) == move("grant", "used", GPU, 7)


def test_what_leaves_is_paired_with_what_arrives_in_their_order() -> None:
    moves = [*move("a", "x", GPU, 3), *move("b", "y", GPU, 4), *move("b", "x", GPU, 1)]
    assert net_moves(moves) == [Move("a", "x", GPU, 3), Move("b", "x", GPU, 1), Move("b", "y", GPU, 4)]


def test_amount_below_zero_goes_the_other_way() -> None:
    assert net_moves(move("a", "b", MONEY, -5)) == move("b", "a", MONEY, 5)


def test_a_single_unit_is_moved_and_none_is_not() -> None:
    assert net_moves(move("a", "b", GPU, 1)) == move("a", "b", GPU, 1)
    assert net_moves(move("a", "b", GPU, 0)) == []
    assert net_moves([*move("a", "b", GPU, 2), *move("b", "a", GPU, 1)]) == move("a", "b", GPU, 1)


@given(MOVES)
def test_netted_moves_change_each_account_as_the_moves_do_and_none_goes_nowhere(moves: list[Move]) -> None:
    netted = net_moves(moves)
    assert sum_changes(netted) == sum_changes(moves)
    assert all(each.amount > 0 and each.source_id != each.target_id for each in netted)
    assert net_moves(netted) == netted


def sum_changes(moves: list[Move]) -> dict[tuple[str, Unit], int]:
    changes: Counter[tuple[str, Unit]] = Counter()
    for each in moves:
        changes[each.source_id, each.unit] -= each.amount
        changes[each.target_id, each.unit] += each.amount
    return {key: change for key, change in changes.items() if change}
