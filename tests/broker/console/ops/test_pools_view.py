"""A machine's tile says what is wrong with it before how full it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.capacity.model import Maintenance, NodeState, Readiness
from broker.capacity.readiness import JudgedPool
from broker.capacity.tables import Pool, write_maintenance
from broker.console.ops.pools_view import LETTERS, WORDS, TileState, judge_tile

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


def judge(*, state: NodeState = NodeState.OPEN, held: int = 0, is_worked_on: bool = False, **more: Any) -> TileState:
    window = Maintenance(NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    pool = Pool(name="a", maintenance_told=write_maintenance([window] if is_worked_on else []))
    judged = JudgedPool(pool, None, more.get("readiness", Readiness.OPEN), None)
    return judge_tile(judged, "a", state, 4, held, NOW)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, TileState.FREE),
        ({"held": 1}, TileState.PARTLY),
        ({"held": 4}, TileState.FULL),
        ({"held": 4, "is_worked_on": True}, TileState.MAINTENANCE),
        ({"held": 4, "state": NodeState.DRAINING}, TileState.DRAINING),
        ({"readiness": Readiness.DRAINING}, TileState.DRAINING),
        ({"state": NodeState.DOWN, "is_worked_on": True}, TileState.DOWN),
        ({"readiness": Readiness.SILENT}, TileState.CLOSED),
        ({"readiness": Readiness.CLOSED, "held": 2}, TileState.CLOSED),
    ],
)
def test_what_is_wrong_goes_before_how_full_it_is(told: dict[str, Any], expected: TileState) -> None:
    assert judge(**told) is expected


def test_each_state_has_a_letter_of_its_own_and_words() -> None:
    assert len(set(LETTERS.values())) == len(WORDS) == len(TileState)
