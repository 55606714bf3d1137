"""The outbox: written with the change, relayed at least once, put off when it fails."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from broker.persistence import outbox
from broker.persistence.outbox import OutboxMessage, PendingMessage
from broker.system import System
from tests.broker.conftest import ManualClock


async def enqueue(system: System, run_id: str = "run_1", *, kind: str = "launch", recipient: str = "test") -> None:
    async with system.work() as work:
        await outbox.enqueue(work.session, recipient=recipient, kind=kind, run_id=run_id, now=work.now)


async def list_pending(system: System, **options: object) -> list[PendingMessage]:
    (found,) = await system.read([outbox.find_pending(["test"], now=system.services.now, **options)])
    return outbox.read_pending(found)


async def fail(system: System, message_id: int, error: str = "no room") -> timedelta:
    """Note a failure; how long the message is put off."""
    async with system.work() as work:
        await outbox.mark_failed(work.session, message_id, error, now=work.now)
        not_before = await work.session.scalar(select(OutboxMessage.not_before).where(OutboxMessage.id == message_id))
        return not_before - work.now


async def test_messages_come_by_recipient_and_oldest_first(system: System) -> None:
    await enqueue(system, "run_1")
    await enqueue(system, "run_1", kind="stop")
    await enqueue(system, "run_2", recipient="other")
    assert [(message.kind, message.run_id) for message in await list_pending(system)] == [
        ("launch", "run_1"),
        ("stop", "run_1"),
    ]


async def test_message_of_a_change_that_was_rolled_back_is_not_there(system: System) -> None:
    with pytest.raises(LookupError):  # noqa: PT012 (the change rolls back with its message)
        async with system.work() as work:
            await outbox.enqueue(work.session, recipient="test", kind="launch", run_id="run_1", now=work.now)
            raise LookupError
    assert await list_pending(system) == []


async def test_message_stays_until_it_is_marked_as_done(system: System) -> None:
    await enqueue(system)
    (message,) = await list_pending(system)
    assert await list_pending(system) == [message]
    await system.write([outbox.command_done([message.id], now=system.services.now)])
    assert await list_pending(system) == []


async def test_message_under_way_is_left_out_and_keeps_no_place(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred runs that took long to stop kept every launch behind them waiting."""
    monkeypatch.setattr(outbox, "BATCH", 1)
    await enqueue(system, kind="stop")
    await enqueue(system, "run_2")
    (stopping,) = await list_pending(system)
    assert [message.run_id for message in await list_pending(system, under_way=[stopping.id])] == ["run_2"]


async def test_failing_message_is_put_off_longer_each_time(system: System, clock: ManualClock) -> None:
    await enqueue(system)
    (message,) = await list_pending(system)
    seconds = [(await fail(system, message.id)).total_seconds() for _ in range(8)]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60]
    assert await list_pending(system) == []
    clock.advance(seconds=60)
    assert [pending.failures for pending in await list_pending(system)] == [8]


async def test_failures_of_a_whole_night_do_not_overflow(system: System) -> None:
    await enqueue(system)
    (message,) = await list_pending(system)
    async with system.work() as work:
        await work.session.execute(update(OutboxMessage).values(failures=5000))
    assert await fail(system, message.id, "e" * 10_000) == timedelta(seconds=60)


async def test_unlaunched_and_unstopped_runs_are_told_apart(system: System) -> None:
    await enqueue(system, "run_1")
    await enqueue(system, "run_2", kind="stop")
    async with system.work() as work:
        assert await work.run_together([outbox.find_unlaunched(["test"])]) == [[("run_1",)]]
        assert await outbox.list_unstopped(work.session) == {"run_2"}
