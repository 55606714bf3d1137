"""Starting up: the database and its migrations, the rate cards, the administrator's key."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from broker.clock import Clock, system_clock
from broker.config import Settings
from broker.contracts.cards.shipped_cards import publish_rate_cards
from broker.errors import FULL_ERRNOS, OperatorError
from broker.identity.service import has_admin_key
from broker.ids import IdFactory, new_id
from broker.persistence.embedded import has_embedded_server, start_embedded_server
from broker.persistence.migrate import migrate
from broker.persistence.patience import PAUSE_SECONDS, is_passing
from broker.persistence.preflight import (
    APP_SETTING,
    OWNER_SETTING,
    Place,
    check_before_migration,
    check_schema,
)
from broker.processes.admin_key import write_first_key
from broker.processes.installation import join_installation
from broker.system import System, open_system
from pricing.rate_card import load_rate_cards

FIRST_START_LOCK = 7_203_116  # two processes that start at once take turns: one of them makes the key


class MissingMigrationUrl(OperatorError):
    """BROKER_DATABASE_URL is set without BROKER_MIGRATION_DATABASE_URL."""


class MissingDatabaseUrl(OperatorError):
    """BROKER_DATABASE_URL is not set where the embedded server would be taken for another one."""


@dataclass(frozen=True)
class DatabaseUrls:
    """The application's role and the owner of the tables; `are_given` by settings, not by the embedded server."""

    app: str
    owner: str | None
    are_given: bool = field(default=False, compare=False)

    @property
    def app_place(self) -> Place:
        return Place(self.app, APP_SETTING if self.are_given else "")

    @property
    def owner_place(self) -> Place:
        """Say where the owner of the tables connects. Raises: MissingMigrationUrl."""
        if self.owner is None:
            raise MissingMigrationUrl(f"set {OWNER_SETTING} to the URL of the tables' owner beside {APP_SETTING}")
        return Place(self.owner, OWNER_SETTING if self.are_given else "")


@contextmanager
def database_urls(settings: Settings) -> Iterator[DatabaseUrls]:
    """Find the configured server, or start the embedded one for as long as the block lasts.

    Raises: DatabaseUnusable, for a URL that is none; MissingDatabaseUrl, where the embedded server would be taken for
    the one whose owner is named; OperatorError, for a data directory that cannot be used.
    """
    if settings.database_url is not None:
        given = DatabaseUrls(settings.database_url, settings.migration_database_url, are_given=True)
        given.app_place.parse()
        yield given
        return
    if settings.migration_database_url is not None:
        raise MissingDatabaseUrl(f"set {APP_SETTING} to the URL of the application's role beside {OWNER_SETTING}")
    _make_data_dir(settings.data_dir)
    server = start_embedded_server(settings.data_dir)
    try:
        yield DatabaseUrls(server.app_url(), server.owner_url())
    finally:
        server.stop()


def require_shared_database(settings: Settings) -> None:
    """Refuse to start a worker on a database of its own: it would be empty, and no broker's.

    Raises: MissingDatabaseUrl.
    """
    if settings.database_url is None and not has_embedded_server(settings.data_dir):
        told = f"the database of the broker that this worker is for; {settings.data_dir} holds none"
        raise MissingDatabaseUrl(f"set {APP_SETTING} to {told}")


def _make_data_dir(folder: Path) -> None:
    """Make the data directory where it is not there yet. Raises: OperatorError; OSError, where the disk is full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise
        reason = error.strerror
    else:
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "it may not be written to"
    if reason:
        raise OperatorError(f"BROKER_DATA_DIR: {folder} cannot be used ({reason}); name a folder of this user")


def migrate_database(urls: DatabaseUrls, *, wait_seconds: float = 0.0) -> None:
    """Migrate the database as the owner of its tables, once all that it needs has been looked at.

    A server that does not answer yet is waited for, also where it dies in the midst of a migration, of which nothing is
    left then. Raises: MissingMigrationUrl, DatabaseUnusable.
    """
    owner = urls.owner_place
    while True:
        check_before_migration(owner, urls.app_place, wait_seconds=wait_seconds)
        try:
            migrate(owner.url)
        except SQLAlchemyError as error:
            if not is_passing(error):
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


async def prepare(
    settings: Settings, urls: DatabaseUrls, *, clock: Clock = system_clock, id_factory: IdFactory = new_id
) -> System:
    """Open the system as one of its installation; publish new rate cards; on the first start write `admin.key`.

    Raises: OperatorError, where the process differs from the others of the installation, or the database from what it
    must be.
    """
    _make_data_dir(settings.data_dir)
    await asyncio.to_thread(check_schema, urls.app_place, wait_seconds=settings.database_wait_seconds)
    system = open_system(settings, urls.app, clock=clock, id_factory=id_factory)
    try:
        system.services.storage.close_to_others()
        async with system.work() as work:
            await work.take_turn(FIRST_START_LOCK)
            installation = await join_installation(work)
            await publish_rate_cards(work, load_rate_cards())
            if not await has_admin_key(work):
                await write_first_key(work)
    except BaseException:
        await system.database.close()
        raise
    return system.at(installation.public_url)
