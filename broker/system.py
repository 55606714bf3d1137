"""The running process: its database and services, and units of work for what no request asked for."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from broker.clock import Clock, system_clock
from broker.config import Settings
from broker.ids import IdFactory, new_id
from broker.log_context import told_of
from broker.persistence.database import Database, Scope, TimeLimits, open_database
from broker.persistence.driver import Command, Row
from broker.persistence.faults import Fault, find_fault
from broker.storage_choice import open_storage
from broker.work import SYSTEM_ACTOR, Services, Work

Object = TypeVar("Object")


@dataclass(frozen=True)
class System:
    database: Database
    services: Services

    def at(self, public_url: str | None) -> "System":
        """Make the same system with the installation's public address, where it has one."""
        if public_url is None:
            return self
        settings = self.services.settings.model_copy(update={"public_url": public_url})
        return replace(self, services=replace(self.services, settings=settings))

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Open a transaction as the system itself, which sees every tenant."""
        async with self.database.transaction(Scope.ALL, limits=self._limits) as session:
            yield Work(session, SYSTEM_ACTOR, self.services)

    async def read(self, commands: Sequence[Command]) -> list[list[Row]]:
        """Read by statements in one message, as the system itself; returns the rows of each."""
        return await self.database.read(commands, Scope.ALL, limits=self._limits)

    async def write(self, commands: Sequence[Command], *, after: bytes = b"") -> None:
        """Write by statements in one message, as the system itself; `after` goes in it, before the commit."""
        await self.database.write(commands, Scope.ALL, limits=self._limits, after=after)

    @property
    def _limits(self) -> TimeLimits:
        return TimeLimits(self.services.settings.lock_seconds)

    async def work_on(self, objects: Iterable[Object], act: Callable[[Work, Object], Awaitable[Any]]) -> None:
        """Act on each object in a transaction of its own; one that fails is logged and keeps no other from its turn.

        Raises: sqlalchemy.exc.OperationalError, where the database is away: nothing else could be done either.
        """
        for each in objects:
            what = f"{getattr(act, '__name__', 'work').strip('_')} of {each}"
            with told_of(each):
                await self._work_on_one(what, each, act)

    async def _work_on_one(self, what: str, each: Object, act: Callable[[Work, Object], Awaitable[Any]]) -> None:
        try:
            async with self.work() as work:
                await act(work, each)
        except Exception as error:
            if find_fault(error) == Fault.AWAY:
                raise
            self.services.note_failure(what, error)
        else:
            self.services.failures.settle(what)


def open_system(
    settings: Settings, database_url: str, *, clock: Clock = system_clock, id_factory: IdFactory = new_id
) -> System:
    services = Services(
        settings=settings,
        storage=open_storage(settings),
        clock=clock,
        new_id=id_factory,
        secret=settings.load_secret(),
    )
    database = open_database(database_url, pool_size=settings.process_pool_size, wait_seconds=settings.turn_seconds)
    return System(database, services)
