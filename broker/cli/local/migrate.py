"""`broker migrate`."""

from broker.cli.local.options import AsJson, DataDir, load_settings
from broker.cli.output import write_answer
from broker.cli.words import say
from broker.processes.boot import database_urls, migrate_database


def migrate(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Bring the database to the newest revision."""
    settings = load_settings(data_dir=data_dir)
    with database_urls(settings) as urls:
        migrate_database(urls, wait_seconds=settings.database_wait_seconds)
    write_answer({"migrated": True}, say("The database is at the newest revision."), as_json=as_json)
