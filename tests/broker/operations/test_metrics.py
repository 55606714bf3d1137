"""What the service tells of itself: cycles and who took them over, the books, messages that wait."""

from datetime import timedelta

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from broker.daemon.loops import Daemon
from broker.metrics import Metrics
from broker.persistence import outbox
from broker.persistence.marks import PLANNED, note_mark, read_marks
from broker.system import System
from tests.broker.conftest import START, ManualClock


async def read(system: System) -> dict[str, float]:
    metrics = Metrics(system)
    await metrics.refresh()
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_takeover_is_counted_where_another_process_plans(system: System) -> None:
    moments = [("a", 0), ("a", 1), ("b", 30), ("b", 60), ("a", 61)]
    async with system.work() as work:
        for by, second in moments:
            now = START + timedelta(seconds=second)
            await note_mark(work.session, PLANNED, by=by, now=now)
        mark = (await read_marks(work.session))[PLANNED]
    assert (mark.takeovers, mark.noted_at) == (2, START + timedelta(seconds=61))


async def test_cycles_books_and_messages_that_wait_are_told(system: System, clock: ManualClock) -> None:
    assert "broker_planner_last_cycle_timestamp_seconds" not in await read(system)
    daemon = Daemon(system, None)
    await daemon.run_once()
    await daemon.verify_books()
    async with system.work() as work:
        await outbox.enqueue(work.session, recipient="agt_x", kind="stop", run_id="run_x", now=work.now)
    clock.advance(seconds=90)
    told = await read(system)
    assert told["broker_planner_last_cycle_timestamp_seconds"] == START.timestamp()
    assert told["broker_books_differences"] == 0
    assert (told["broker_outbox_pending"], told["broker_outbox_oldest_age_seconds"]) == (1, 90)
