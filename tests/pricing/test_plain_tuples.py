from typing import NamedTuple

from pricing.plain_tuples import make


class Pair(NamedTuple):
    first: int
    second: str


def test_what_is_made_is_what_the_constructor_makes():
    made = make(Pair, (1, "b"))
    assert type(made) is Pair
    assert made == Pair(first=1, second="b")
    assert made._replace(first=2).second == "b"
