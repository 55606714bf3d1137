"""A decision on record as a row: what it changed, before and after, and whether it can still be taken back."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.console.ops.audit_view import find_page, list_decisions


@dataclass
class Recorded:
    id: str = "aud_1"
    action: str = "change_queue"
    object_id: str | None = "standard"
    actor_role: str = "ops"
    actor_id: str = "key_1"
    sent: dict[str, Any] = field(default_factory=lambda: {"reason": "the fair"})
    changed: dict[str, Any] | None = None
    undoes: str | None = None
    created_at: datetime = datetime(2026, 11, 24, tzinfo=UTC)


def changed(kind: str, count: int = 1) -> dict[str, Any]:
    names = [f"field_{number}" for number in range(count)]
    return {"kind": kind, "id": "x", "before": dict.fromkeys(names), "after": dict.fromkeys(names, 2)}


def test_a_row_tells_who_why_and_what_changed_and_how_much_more() -> None:
    (row,) = list_decisions([Recorded(changed=changed("queue", 8))], {}, {"key_1": "Li"})
    assert (row.actor, row.reason, row.can_undo, row.more) == ("Li", "the fair", True, 2)
    assert (row.changes[0].before, row.changes[0].after) == ("—", "2")


@pytest.mark.parametrize(
    ("entry", "undone"),
    [
        (Recorded(), {}),
        (Recorded(changed=changed("chart_of_accounts")), {}),
        (Recorded(changed=changed("queue")), {"aud_1": "aud_2"}),
    ],
)
def test_what_has_nothing_to_put_back_or_was_taken_back_has_no_undo(entry: Recorded, undone: dict[str, str]) -> None:
    (row,) = list_decisions([entry], undone, {})
    assert (row.can_undo, row.undone_by) == (False, undone.get("aud_1"))


def test_a_decision_leads_to_the_page_of_what_it_was_on() -> None:
    assert find_page("pool", "a100") == "/console/ops/pools?tile=a100/a100"
    assert find_page(None, "inv_1") is None
