"""Messages of the outbox on their way to an engine: launches and stops, side by side, each marked once it is done.

A call that an engine is slow to answer holds up neither the next message nor who relays: it stays under way.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from broker.execution.engine import NotYet
from broker.log_context import told_of
from broker.persistence import outbox
from broker.persistence.batches import Batches
from broker.persistence.database import WAKE_FOR_FREED
from broker.persistence.outbox import PendingMessage
from broker.system import System

log = logging.getLogger(__name__)

Call = Callable[[str], Awaitable[None]]
LAUNCH, STOP = "launch", "stop"
# So often a launch that has no room yet is tried again before it is worth a warning: about half a minute.
USUAL_WAITS = 5


@dataclass(frozen=True)
class Delivery:
    """A message whose call has begun, or waits for its turn."""

    message: PendingMessage
    task: asyncio.Task[None]


@dataclass
class Relay:
    """Hands messages for `recipients` to the engine by `launch` and `stop`, which take a run id. Stops do not queue:
    what a run takes to save is its own affair.
    """

    system: System
    recipients: Collection[str]
    launch: Call
    stop: Call
    under_way: dict[int, Delivery] = field(default_factory=dict)

    @cached_property
    def marks(self) -> Batches[str, int, None]:
        return Batches(self._mark_done, self.system.services.settings.turn_seconds)

    @property
    def launching(self) -> set[str]:
        """The runs whose launch is under way."""
        return {of.message.run_id for of in self.under_way.values() if of.message.kind == LAUNCH}

    async def begin(self, *, launches: bool = True) -> None:
        """Begin to deliver every message that is due, oldest first, and wait for none; without launches, only stops."""
        now = self.system.services.now
        (due,) = await self.system.read([outbox.find_pending(self.recipients, now=now, under_way=self.under_way)])
        for message in outbox.read_pending(due):
            if message.id not in self.under_way and (launches or message.kind == STOP):
                begun = self._launch(message) if message.kind == LAUNCH else self._stop(message, self._list_of(message))
                self.under_way[message.id] = Delivery(message, asyncio.create_task(begun))

    async def settle(self, kind: str, *, seconds: float | None = None) -> None:
        """Wait until what is under way of a kind has been delivered, or for so long."""
        tasks = [of.task for of in self.under_way.values() if of.message.kind == kind]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def close(self) -> None:
        """Wait for nothing any more: messages that were not marked are relayed again by who comes next."""
        tasks = [of.task for of in self.under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _list_of(self, message: PendingMessage) -> list[asyncio.Task[None]]:
        """List the launches under way of a message's run: it cannot be stopped before they are through."""
        return [of.task for of in self.under_way.values() if of.message.run_id == message.run_id]

    async def _launch(self, message: PendingMessage) -> None:
        try:
            await self._deliver(message, self.launch)
        finally:
            del self.under_way[message.id]

    async def _stop(self, message: PendingMessage, launches: list[asyncio.Task[None]]) -> None:
        try:
            if launches:
                await asyncio.wait(launches)
            await self._deliver(message, self.stop)
        finally:
            del self.under_way[message.id]

    async def _deliver(self, message: PendingMessage, call: Call) -> None:
        """Make the call that a message asks for, and note how it went; what cannot be noted is called again."""
        what = f"noting the {message.kind} of a run"
        with told_of(message.run_id):
            try:
                await self._call(message, call)
                self.system.services.failures.settle(what)
            except Exception as error:  # noqa: BLE001 (whatever it is, the message is still there)
                self.system.services.note_failure(what, error)

    async def _call(self, message: PendingMessage, call: Call) -> None:
        """Make the call; mark the message as done, or put it off where the call fails."""
        try:
            await call(message.run_id)
        except Exception as error:  # noqa: BLE001 (whatever an engine raises, the message is tried again)
            log_failure(message, error)
            async with self.system.work() as work:
                await outbox.mark_failed(work.session, message.id, f"{type(error).__name__}: {error}", now=work.now)
        else:
            await self.marks.ask(message.kind, message.id)

    async def _mark_done(self, kind: str, message_ids: Sequence[int]) -> list[None]:
        """Mark messages as done, those together whose calls have ended meanwhile; what was stopped frees devices."""
        done = outbox.command_done(message_ids, now=self.system.services.now)
        await self.system.write([done], after=WAKE_FOR_FREED if kind == STOP else b"")
        return [None for _message in message_ids]


def log_failure(message: PendingMessage, error: Exception) -> None:
    """Log that a call failed. A run that ends as another starts is a while from letting go of its devices: no fault."""
    if isinstance(error, NotYet) and message.failures < USUAL_WAITS:
        log.info("%s of run %s waits: %s", message.kind, message.run_id, error)
    else:
        log.warning("%s of run %s failed: %s", message.kind, message.run_id, error)
