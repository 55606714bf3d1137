"""A draft is read as what it changes, and two replays are placed on one scale."""

from datetime import UTC, datetime, timedelta
from typing import Any

from broker.console.ops.what_if_view import WIDTH, list_moved, place_gantt, read_draft

BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)
NOW = {
    "queues": {"dedicated:con_1": {"priority": 300, "weight": 100, "max_jobs": None, "max_gpus": 4, "state": "open"}},
    "pools": {"a100": {"total_gpus": 8, "discipline": "fair", "open": True}},
    "contracts": {"con_1": {"weight": 100, "max_gpus": None, "max_jobs": None}},
}


def at(minutes: int) -> str:
    return (BEGIN + timedelta(minutes=minutes)).isoformat()


def draw(job_id: str, today: list[tuple[int, int]], proposed: list[tuple[int, int]]) -> dict[str, Any]:
    bars = [[{"pool": "a", "since": at(begin), "until": at(end)} for begin, end in each] for each in (today, proposed)]
    told = {"job_id": job_id, "contract_id": "c", "queue": "standard", "gpus": 1, "came_at": at(0)}
    return {**told, "today": bars[0], "proposed": bars[1]}


def test_a_draft_is_what_differs_by_the_names_of_a_proposal() -> None:
    sent = {
        "queues|dedicated:con_1|priority": "300",
        "queues|dedicated:con_1|max_gpus": "",
        "queues|dedicated:con_1|state": "holding",
        "pools|a100|open": "no",
        "pools|a100|total_gpus": " 16 ",
        "contracts|con_1|max_gpus": "lots",
        "contracts|con_1|weight": "",
        "pools|nowhere|total_gpus": "5",
    }
    assert read_draft(sent, NOW) == {
        "queues": {"dedicated:con_1": {"max_gpus": None, "state": "holding"}},
        "pools": {"a100": {"total_gpus": 16, "open": False}},
        "contracts": {"con_1": {"max_gpus": "lots"}},
    }
    assert read_draft({}, NOW) == {}


def test_jobs_stand_in_the_same_rows_of_both_drawings_and_their_bars_end_with_the_window() -> None:
    drawn = [draw("one", [(0, 30)], [(30, 60)]), draw("two", [], [(0, 15)])]
    before, after = (place_gantt(drawn, side, BEGIN, BEGIN + timedelta(hours=1)) for side in ("today", "proposed"))
    assert [row.job_id for row in before.rows] == [row.job_id for row in after.rows] == ["one", "two"]
    assert [(bar.kind, bar.x, bar.width) for bar in before.rows[0].bars] == [("run", 0, WIDTH / 2)]
    assert [(bar.kind, bar.x, bar.width) for bar in after.rows[0].bars] == [
        ("wait", 0, WIDTH / 2),
        ("run", WIDTH / 2, WIDTH / 2),
    ]
    assert [(bar.kind, bar.width) for bar in before.rows[1].bars] == [("wait", WIDTH)], "it never started"
    assert before.ticks[-1][0] == WIDTH


def test_starts_that_move_are_told_those_first_that_would_never_come() -> None:
    drawn = [
        draw("same", [(5, 9)], [(5, 9)]),
        draw("earlier", [(20, 30)], [(10, 20)]),
        draw("later", [(10, 20)], [(40, 50)]),
        draw("never", [(10, 20)], []),
        draw("new", [], [(10, 20)]),
    ]
    moved = list_moved(drawn)
    assert [(one.job_id, one.shift) for one in moved] == [
        ("never", None),
        ("later", 1800),
        ("earlier", -600),
        ("new", None),
    ]
