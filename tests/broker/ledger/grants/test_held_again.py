"""What a leg has again of lost work: what came back to it, less what was used again since."""

import pytest

from broker.ledger.grants.held_again import LegUse, count_held_again


@pytest.mark.parametrize(
    ("uses", "held_again"),
    [
        ([], 0),
        ([LegUse(1, 40)], 0),
        ([LegUse(1, 0, lost=40, lost_at=2)], 40),
        ([LegUse(1, 40, lost=12, lost_at=2)], 12),
        ([LegUse(1, 0, lost=40, lost_at=2), LegUse(3, 15)], 25),
        ([LegUse(1, 0, lost=40, lost_at=2), LegUse(3, 70)], 0),
        ([LegUse(1, 0, lost=40, lost_at=2), LegUse(3, 70), LegUse(4, 0, lost=5, lost_at=9)], 5),
        # Usage of the lost run that came late was lost as well: it used nothing of what had come back.
        ([LegUse(1, 0, lost=5, lost_at=2), LegUse(3, 0, lost=20, lost_at=4)], 25),
        ([LegUse(3, 15), LegUse(1, 0, lost=40, lost_at=2)], 25),
    ],
)
def test_held_again_is_what_came_back_and_was_not_used_since(uses: list[LegUse], held_again: int) -> None:
    assert count_held_again(uses) == held_again
