"""When there are fewer GPUs than were guaranteed, each contract has its share in whole GPUs."""

from hypothesis import given
from hypothesis import strategies as st

from broker.scheduling.planning.rules.shortage import share_out


def test_shares_are_those_of_the_largest_remainder() -> None:
    assert share_out({"a": 4, "b": 4}, 8) == {"a": 4, "b": 4}
    assert share_out({"a": 4, "b": 4}, 5) == {"a": 3, "b": 2}, "ties fall by name"
    assert share_out({"a": 6, "b": 2}, 4) == {"a": 3, "b": 1}
    assert share_out({"a": 6, "b": 1}, 3) == {"a": 3, "b": 0}
    assert share_out({"a": 1}, 0) == {"a": 0}
    assert share_out({}, 3) == {}


@given(st.dictionaries(st.text(max_size=2), st.integers(1, 50), max_size=6), st.integers(0, 200))
def test_all_that_is_there_is_shared_and_nobody_has_more_than_was_promised(
    promised: dict[str, int], there: int
) -> None:
    shares = share_out(promised, there)
    assert sum(shares.values()) == min(there, sum(promised.values()))
    assert all(0 <= shares[name] <= gpus for name, gpus in promised.items())
    exact = {name: gpus * min(1, there / max(1, sum(promised.values()))) for name, gpus in promised.items()}
    assert all(abs(shares[name] - exact[name]) < 1 for name in promised)
