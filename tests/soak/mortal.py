"""A broker in process that dies at a chosen point: a statement, a commit, a file, an engine's call, a webhook.

A process that is killed does nothing more, and the kernel closes its sockets. So a system that has died raises at every
further point, its connections are closed, and PostgreSQL is waited for until it has let go of what they had open. What
comes next begins anew, with nothing but the database, the files and the world outside.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from psycopg.pq import TransactionStatus
from sqlalchemy import event

from broker.clock import Clock
from broker.config import Settings
from broker.execution.engine import LaunchSpec
from broker.persistence import driver
from broker.persistence.folder_storage import FolderStorage
from broker.persistence.message import send_message
from broker.persistence.storage import StoredObject
from broker.system import System, open_system
from broker.webhooks.sender import Answer
from tests.broker.conftest import create_routed_app
from tests.broker.databases import end_stray_tasks
from tests.broker.factories import Api
from tests.broker.webhooks.receivers import PaperSender
from tests.broker.worker_calls import PaperEngine

LET_GO_SECONDS = 30
# As many as a step has open at once: its request's, the one by which its key is found, a batch's.
CONNECTIONS = 3
PREPARE = driver._prepare
CLOSE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class Fate:
    """Counts the points that a process passes, and kills it at one of them; `at` 0: at none.

    `seen` counts them by what they are, and `died_at` is what the last one was. While it is `spared`, as it prepares
    statements on a connection that is new, no point counts: those would be most of them, and change nothing.
    """

    at: int = 0
    passed: int = 0
    spared: int = 0
    is_dead: bool = False
    died_at: str | None = None
    seen: Counter[str] = field(default_factory=Counter)
    death: asyncio.Event = field(default_factory=asyncio.Event)
    connections: list["MortalConnection"] = field(default_factory=list)

    def begin(self, at: int = 0) -> None:
        """Count from here on, up to the point at which the process is to die."""
        self.passed, self.at = 0, at

    def point(self, what: str) -> None:
        """Pass a point, or die there. Raises: Killed."""
        if self.is_dead:
            raise Killed(what)
        if self.spared:
            return
        self.passed += 1
        self.seen[what] += 1
        if self.passed == self.at:
            self.is_dead, self.died_at = True, what
            self.death.set()
            raise Killed(what)


class MortalConnection(psycopg.AsyncConnection[Any]):
    """A connection to PostgreSQL that its process may die at, before each message and after it was carried out.

    `sending`: what of several statements is on its way; None: a single one.
    """

    fate: Fate
    sending: str | None = None

    @classmethod
    async def open(cls, fate: Fate, name: str, *arguments: Any, **options: Any) -> "MortalConnection":
        connection = await cls.connect(*arguments, **{**options, "application_name": name})
        connection.fate = fate
        fate.connections.append(connection)
        return connection

    async def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        fate = getattr(self, "fate", None)  # none while it is being opened
        if fate is None:
            return await super().wait(gen, *arguments, **options)
        was_open = self.pgconn.transaction_status == TransactionStatus.INTRANS
        if self.sending is None:
            fate.point("before a statement")
        answer = await super().wait(gen, *arguments, **options)
        has_ended = was_open and self.pgconn.transaction_status == TransactionStatus.IDLE
        fate.point(f"after {self.sending or ('a commit' if has_ended else 'a statement')}")
        return answer


async def send_or_die(connection: psycopg.AsyncConnection[Any], script: bytes) -> Any:
    """Send a message of several statements; a process may die before it is on its way."""
    if not isinstance(connection, MortalConnection):
        return await send_message(connection, script)
    sending = "a commit" if script.endswith(driver.COMMIT) else "a message"
    connection.fate.point(f"before {sending}")
    connection.sending = sending
    try:
        return await send_message(connection, script)
    finally:
        connection.sending = None


async def prepare_spared(driven: driver.Driven, commands: Sequence[driver.Command]) -> None:
    """Prepare statements, without a point at which to die."""
    fate = driven.driver.fate if isinstance(driven.driver, MortalConnection) else Fate()
    fate.spared += 1
    try:
        await PREPARE(driven, commands)
    finally:
        fate.spared -= 1


@dataclass(frozen=True)
class MortalStorage(FolderStorage):
    """Files that a process may die at, before each is there and after."""

    fate: Fate = field(default_factory=Fate)

    async def write(self, key: str, chunks: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        return await self._pass(super().write(key, chunks, max_bytes=max_bytes))

    async def append(self, key: str, offset: int, chunks: AsyncIterator[bytes], *, max_bytes: int) -> int:
        return await self._pass(super().append(key, offset, chunks, max_bytes=max_bytes))

    async def delete(self, key: str) -> None:
        await self._pass(super().delete(key))

    async def _pass(self, effect: Awaitable[Any]) -> Any:
        return await pass_effect(self.fate, "a file", effect)


async def pass_effect(fate: Fate, what: str, effect: Awaitable[Any]) -> Any:
    """Do something that reaches beyond the process, which may die before it and after it."""
    try:
        fate.point(f"before {what}")
    except Killed:
        if asyncio.iscoroutine(effect):
            effect.close()
        raise
    done = await effect
    fate.point(f"after {what}")
    return done


@dataclass
class MortalEngine(PaperEngine):
    """The engine as one process reaches it; what runs is of the engine itself, which `reach` leaves alone."""

    fate: Fate = field(default_factory=Fate)

    @classmethod
    def reach(cls, engine: PaperEngine, fate: Fate) -> "MortalEngine":
        reached = cls(fate=fate, offered=engine.offered)
        reached.launched, reached.stopped, reached.alive = engine.launched, engine.stopped, engine.alive
        return reached

    async def launch(self, spec: LaunchSpec) -> str:
        if spec.run_id in self.alive:  # a launch is idempotent by run id, as every engine's
            return spec.run_id
        done: str = await pass_effect(self.fate, "a launch", super().launch(spec))
        return done


@dataclass
class MortalSender(PaperSender):
    """What sends webhooks; the receiver, which keeps what it got, is another's."""

    fate: Fate = field(default_factory=Fate)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
        answer: Answer = await pass_effect(self.fate, "a webhook", super().post(url, headers, body, now))
        return answer


@dataclass
class Life:
    """One process of the broker, from its start to its death."""

    fate: Fate
    system: System
    app: FastAPI
    name: str

    async def act(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Do something as this process. Raises: Killed, where it died over it, whatever of it was left."""
        doing = asyncio.ensure_future(act())
        dying = asyncio.create_task(self.fate.death.wait())
        await asyncio.wait({doing, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if not self.fate.is_dead:
            return await doing
        doing.cancel()
        await asyncio.gather(doing, dying, return_exceptions=True)
        raise Killed(self.fate.died_at)

    async def warm_up(self) -> None:
        """Open the connections that a step needs: what a new one is told is no part of any."""
        async with AsyncExitStack() as opened:
            for _connection in range(CONNECTIONS):
                await opened.enter_async_context(self.system.work())

    async def end(self, owner: psycopg.Connection) -> None:
        """End the process: nothing of it runs on, its sockets are closed, and the database has noticed."""
        await end_stray_tasks()
        self.fate.is_dead = True
        for connection in self.fate.connections:
            connection.pgconn.finish()
        for _attempt in range(LET_GO_SECONDS * 50):
            owner.execute(CLOSE, [self.name])  # each time: one may just have been opened
            (left,) = owner.execute(OPEN, [self.name]).fetchone() or (0,)
            if left == 0:
                return
            await asyncio.sleep(0.02)
        raise TimeoutError("PostgreSQL has not let go of a dead process's connections")


@dataclass
class Mortals:
    """Makes one process after the other on the same database, files and clock."""

    settings: Settings
    url: str
    clock: Clock
    routes: FastAPI
    admin_key: str
    count: int = 0

    async def begin(self) -> Life:
        """Start a process, with its connections open; it lives until its fate is told otherwise."""
        self.count += 1
        fate, name = Fate(), f"mortal {self.count}"
        system = open_system(self.settings, self.url, clock=self.clock)
        storage = MortalStorage(Path(self.settings.storage_root), fate)
        system = replace(system, services=replace(system.services, storage=storage))
        open_one = partial(MortalConnection.open, fate, name)

        @event.listens_for(system.database.engine.sync_engine, "do_connect")
        def connect(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
            options["async_creator_fn"] = open_one

        life = Life(fate, system, create_routed_app(system, self.routes), name)
        await life.warm_up()
        return life

    @asynccontextmanager
    async def speak_to(self, life: Life) -> AsyncIterator[Api]:
        """Connect the administrator to a process."""
        async with Api.connect(life.app, self.admin_key) as api:
            yield api


def make_mortal(patch: pytest.MonkeyPatch) -> None:
    """Let processes die before a message is on its way, too."""
    patch.setattr(driver, "send_message", send_or_die)
    patch.setattr(driver, "_prepare", prepare_spared)
