"""Virtual time: what is planned happens in its order, ids are of their moment, and a seed is enough to know all."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from ulid import ULID

from broker.cli.demo.history.customers import Player
from broker.cli.demo.history.materials import draw_style, write_adapter
from broker.cli.demo.history.plot import CHARACTERS
from broker.cli.demo.history.run import FINISHED, explain_refusal, plan_span
from broker.cli.demo.history.submitting import draw_orders
from broker.cli.demo.history.timeline import SeededIds, Timeline, VirtualClock
from broker.cli.demo.history.voices import Voice

NOON = datetime(2026, 9, 1, 4, tzinfo=UTC)


async def test_what_is_planned_happens_at_its_moment_and_in_the_order_of_its_planning() -> None:
    clock, done = VirtualClock(NOON), list[tuple[str, int]]()
    timeline = Timeline(clock)

    def plan(name: str, minutes: int) -> None:
        async def act() -> None:
            done.append((name, (clock.now - NOON).seconds // 60))
            if name == "b":
                plan("follows b", minutes)

        timeline.at(NOON + timedelta(minutes=minutes), act)

    async def after_each() -> None:
        done.append(("after", (clock.now - NOON).seconds // 60))

    for name, minutes in (("c", 9), ("a", 5), ("b", 5), ("too late", 20)):
        plan(name, minutes)
    await timeline.live_until(NOON + timedelta(minutes=20), after_each)
    assert done == [("a", 5), ("b", 5), ("follows b", 5), ("after", 5), ("c", 9), ("after", 9)]
    assert clock.now == NOON + timedelta(minutes=20)


def test_ids_are_of_the_clocks_time_sort_by_their_making_and_follow_the_seed() -> None:
    clock = VirtualClock(NOON)
    ids, same = SeededIds(clock, Random(7)), SeededIds(clock, Random(7))
    made = [ids("job") for _ in range(100)]
    assert made == sorted(set(made)) == [same("job") for _ in range(100)]
    assert ULID.from_str(made[0].removeprefix("job_").upper()).datetime == NOON


def test_history_has_three_whole_months_and_the_present_one_as_far_as_it_is() -> None:
    span = plan_span(date(2026, 11, 28), "Asia/Shanghai")
    assert (span.begin, span.end) == (datetime(2026, 7, 31, 16, tzinfo=UTC), datetime(2026, 11, 28, 16, tzinfo=UTC))
    assert plan_span(date(2027, 1, 1), "UTC").begin == datetime(2026, 10, 1, tzinfo=UTC)


def test_orders_have_so_many_jobs_and_are_drawn_by_the_seed() -> None:
    players = [Player(character, character.key, Voice(None, "")) for character in CHARACTERS]  # type: ignore[arg-type]
    begin, end = NOON, NOON + timedelta(days=30)
    orders = list(draw_orders(Random(1), players, begin, end, 300))
    assert abs(sum(order.jobs for order in orders) - 300) < len(CHARACTERS)
    assert all(begin <= order.at < end for order in orders)
    assert [order.at for order in orders] == [order.at for order in draw_orders(Random(1), players, begin, end, 300)]


def test_files_of_a_seed_are_the_same_bytes() -> None:
    assert draw_style(Random(5), 2) == draw_style(Random(5), 2) != draw_style(Random(6), 2)
    assert b"made_up" in write_adapter("job_1", 8)


@pytest.mark.parametrize(
    ("names", "is_finished", "told"),
    [
        (["Acme"], False, "has customers of its own"),
        (["Acme", "Tea (made up)"], True, "has customers of its own"),
        (["Tea (made up)"], True, "holds a history already"),
        (["Tea (made up)"], False, "broken off: remove the folder"),
    ],
)
def test_database_with_customers_is_refused_with_the_way_out(
    names: list[str], is_finished: bool, told: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("history")
    if is_finished:
        (folder / FINISHED).write_text("{}")
    assert told in explain_refusal(folder, names, are_given=False)
    assert str(folder) in explain_refusal(folder, names, are_given=False)
    assert "empty database" in explain_refusal(folder, ["Acme"], are_given=True)
