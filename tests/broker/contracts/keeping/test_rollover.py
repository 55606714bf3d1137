"""How much of a grant goes on into a renewal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.contracts.terms.model import NO_ROLLOVER, Rollover, RolloverRule


@pytest.mark.parametrize(
    ("percent", "quantity", "unused", "carried"),
    [(100, 1000, 1000, 1000), (50, 1000, 1000, 500), (50, 1000, 300, 300), (33, 100, 100, 33), (1, 99, 99, 0)],
)
def test_at_most_the_share_of_the_whole_grant_goes_on(percent: int, quantity: int, unused: int, carried: int) -> None:
    assert Rollover(RolloverRule.CARRY, percent).limit(quantity, unused) == carried
    assert NO_ROLLOVER.limit(quantity, unused) == 0


@given(st.integers(1, 100), st.integers(1, 10**12), st.data())
def test_no_more_goes_on_than_is_unused(percent: int, quantity: int, data: st.DataObject) -> None:
    unused = data.draw(st.integers(0, quantity))
    carried = Rollover(RolloverRule.CARRY, percent).limit(quantity, unused)
    assert 0 <= carried <= unused
    assert 100 * carried <= percent * quantity
