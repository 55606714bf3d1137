"""Starting up: the database and its migrations, the rate cards, the administrator's key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from broker.config import Settings
from broker.contracts.service import publish_rate_cards
from broker.errors import OperatorError
from broker.identity.service import has_admin_key
from broker.persistence.embedded import start_embedded_server
from broker.persistence.migrate import migrate
from broker.processes.admin_key import write_first_key
from broker.processes.installation import join_installation
from broker.system import System, open_system
from pricing.rate_card import load_rate_cards

FIRST_START_LOCK = 7_203_116  # two processes that start at once take turns: one of them makes the key


class MissingMigrationUrl(OperatorError):
    """BROKER_DATABASE_URL is set without BROKER_MIGRATION_DATABASE_URL."""


@dataclass(frozen=True)
class DatabaseUrls:
    """The application's role and the owner of the tables."""

    app: str
    owner: str | None


@contextmanager
def database_urls(settings: Settings) -> Iterator[DatabaseUrls]:
    """Find the configured server, or start the embedded one for as long as the block lasts."""
    if settings.database_url is not None:
        yield DatabaseUrls(settings.database_url, settings.migration_database_url)
        return
    server = start_embedded_server(settings.data_dir)
    try:
        yield DatabaseUrls(server.app_url(), server.owner_url())
    finally:
        server.stop()


def migrate_database(urls: DatabaseUrls) -> None:
    """Migrate the database as the owner of its tables. Raises: MissingMigrationUrl."""
    if urls.owner is None:
        raise MissingMigrationUrl(
            "set BROKER_MIGRATION_DATABASE_URL to the URL of the tables' owner beside BROKER_DATABASE_URL"
        )
    migrate(urls.owner)


async def prepare(settings: Settings, urls: DatabaseUrls) -> System:
    """Open the system as one of its installation; publish new rate cards; on the first start write `admin.key`.

    Raises: OperatorError, where the process differs from the others of the installation.
    """
    system = open_system(settings, urls.app)
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
