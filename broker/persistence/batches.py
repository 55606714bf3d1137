"""Calls decided in batches: what arrives while the last batch of its key is being committed is decided together.

A key is where calls would take turns anyway: a contract, a customer, a run. Its calls wait in the order in which they
came, and each batch is one transaction: one lock, one read, one decision over all, one write, one commit. A call that
finds nobody before it is a batch of one, so there is one way through the code, and under load the batches grow by
themselves. Keys do not wait for each other here: who shares out connections does that in `decide`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from broker import errors

Key = TypeVar("Key", bound=Hashable)
Call = TypeVar("Call")
Answer = TypeVar("Answer")

MOST_AT_ONCE = 64
# A batch of so many tells that more will come at once: their clients send again as soon as they are answered.
SEVERAL = 3


def refuse_own(seconds: float) -> errors.DomainError:
    """Refuse a call that others of the same client kept from its turn for so long."""
    message = f"Your own earlier requests were still under way after {seconds:g} seconds"
    return errors.TooManyAtOnce(f"{message}; send fewer at one time, and this one again.")


def refuse_busy(seconds: float) -> errors.DomainError:
    """Refuse a call that those of all clients kept from its turn for so long."""
    return errors.Busy(f"The broker was busy with earlier requests for {seconds:g} seconds; send the request again.")


@dataclass(eq=False)
class Waiting(Generic[Call, Answer]):
    """A call, and what its client waits for. `patience` gives up for it; it ends once the call is being decided."""

    call: Call
    answer: asyncio.Future[Answer]
    patience: asyncio.TimerHandle | None = None


@dataclass(eq=False)
class Batches(Generic[Key, Call, Answer]):
    """Collects calls by key and has each batch decided.

    `decide` opens the transaction and commits it. It returns, call by call, the answer or the error of that call alone;
    what it raises instead is nobody's own fault, has left nothing behind, and answers every call of the batch.
    After a batch of several the next one is taken once as many wait, or `gather_seconds` have passed: those who were
    just answered send again, and what a batch costs by itself is shared by all of them instead of half.
    `refuse` says what a call gets whose turn has not come within `wait_seconds`.
    """

    decide: Callable[[Key, Sequence[Call]], Awaitable[Sequence[Answer | Exception]]]
    wait_seconds: float
    most: int = MOST_AT_ONCE
    gather_seconds: float = 0.0
    refuse: Callable[[float], errors.DomainError] = refuse_own
    _queues: dict[Key, deque[Waiting[Call, Answer]]] = field(default_factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _wanted: dict[Key, int] = field(default_factory=dict, init=False)
    _gathering: dict[Key, asyncio.Future[None]] = field(default_factory=dict, init=False)

    async def ask(self, key: Key, call: Call) -> Answer:
        """Have a call decided in the next batch of its key.

        A client that goes away takes its call with it as long as it waits; once it is being decided, it is decided.
        Raises: what the call's own decision raises, or its whole batch; what `refuse` says, if its turn did not come.
        """
        loop = asyncio.get_running_loop()
        waiting: Waiting[Call, Answer] = Waiting(call, loop.create_future())
        waiting.patience = loop.call_later(self.wait_seconds, self._give_up, waiting)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
            self._start(key, queue)
        queue.append(waiting)
        if key in self._gathering and len(queue) >= self._wanted[key]:
            _end_gathering(self._gathering[key])
        return await waiting.answer

    def is_busy(self, key: Key) -> bool:
        """Tell whether calls of this key are being decided, or wait."""
        return key in self._queues

    def _start(self, key: Key, queue: deque[Waiting[Call, Answer]]) -> None:
        """Start deciding for a key, in a context of its own: what one client's log lines carry is not of all."""
        task = asyncio.create_task(self._decide_all(key, queue), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _decide_all(self, key: Key, queue: deque[Waiting[Call, Answer]]) -> None:
        """Decide batch after batch until nobody waits. A call that comes later starts anew."""
        try:
            while queue:
                await self._gather(key, queue)
                batch = self._take(queue)
                await self._decide_batch(key, batch)
                self._note_size(key, len(batch))
        finally:
            del self._queues[key]
            for waiting in queue:
                waiting.answer.cancel()

    def _note_size(self, key: Key, size: int) -> None:
        """Note how many calls the next batch of a key waits for, if this one had several: few keys do."""
        if self.gather_seconds and size >= SEVERAL:
            self._wanted[key] = size
        else:
            self._wanted.pop(key, None)

    async def _gather(self, key: Key, queue: deque[Waiting[Call, Answer]]) -> None:
        """Wait for as many calls as are wanted, if the last batch had several, for a short time at most."""
        if len(queue) >= self._wanted.get(key, 0):
            return
        loop = asyncio.get_running_loop()
        gathered = self._gathering[key] = loop.create_future()
        timer = loop.call_later(self.gather_seconds, _end_gathering, gathered)
        try:
            await gathered
        finally:
            timer.cancel()
            del self._gathering[key]

    def _take(self, queue: deque[Waiting[Call, Answer]]) -> list[Waiting[Call, Answer]]:
        """Take the next batch, without the calls that were given up."""
        batch: list[Waiting[Call, Answer]] = []
        while queue and len(batch) < self.most:
            waiting = queue.popleft()
            if waiting.patience is not None:
                waiting.patience.cancel()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _decide_batch(self, key: Key, batch: Sequence[Waiting[Call, Answer]]) -> None:
        """Decide a batch, of which nobody may be left, and tell each its answer."""
        if not batch:
            return
        try:
            answers = await self.decide(key, [waiting.call for waiting in batch])
            told = list(zip(batch, answers, strict=True))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is everybody's answer)
            told = [(waiting, error) for waiting in batch]
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.answer.cancel()
            raise
        for waiting, answer in told:
            _tell(waiting.answer, answer)

    def _give_up(self, waiting: Waiting[Call, Answer]) -> None:
        _tell(waiting.answer, self.refuse(self.wait_seconds))


def _end_gathering(gathered: asyncio.Future[None]) -> None:
    if not gathered.done():
        gathered.set_result(None)


def _tell(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    """Answer a client, unless it has gone away."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
