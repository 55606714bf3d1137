"""The running process: its database and services, and units of work for what no request asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.clock import Clock, system_clock
from broker.config import Settings
from broker.database import Database, Scope, open_database
from broker.ids import IdFactory, new_id
from broker.storage import FolderStorage
from broker.work import SYSTEM_ACTOR, Services, Work


@dataclass(frozen=True)
class System:
    database: Database
    services: Services

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """A transaction as the system itself, which sees every tenant."""
        async with self.database.transaction(Scope.ALL) as session:
            yield Work(session, SYSTEM_ACTOR, self.services)


def open_system(
    settings: Settings, database_url: str, *, clock: Clock = system_clock, id_factory: IdFactory = new_id
) -> System:
    services = Services(
        settings=settings,
        storage=FolderStorage(settings.data_dir / "objects"),
        clock=clock,
        new_id=id_factory,
        secret=settings.load_secret(),
    )
    return System(open_database(database_url, pool_size=settings.database_pool_size), services)
