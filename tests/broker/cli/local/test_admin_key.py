"""`broker admin-key`: who lost the key gets in again; and what the start says of the key is true."""

import stat
from pathlib import Path

from typer.testing import CliRunner

from broker.cli.main import app
from broker.config import Settings
from broker.identity.model import hash_key
from broker.private_file import write_private_file
from broker.processes.admin_key import describe_key
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.databases import LentDatabase
from tests.broker.rows import owner_connection


def ask_for_key(settings: Settings, urls: DatabaseUrls, *options: str) -> str:
    """Run the command; returns what it prints on standard output."""
    environment = {"BROKER_DATABASE_URL": urls.app, "BROKER_DATA_DIR": str(settings.data_dir)}
    result = CliRunner().invoke(app, ["admin-key", *options], env=environment)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def works(urls: DatabaseUrls, clear: str) -> bool:
    query = (
        "SELECT 1 FROM api_keys WHERE role = 'admin' AND key_hash = %s AND revoked_at IS NULL AND expires_at IS NULL"
    )
    with owner_connection(urls) as connection:
        return connection.execute(query.encode(), [hash_key(clear)]).fetchone() is not None


def test_lost_key_file_is_made_again(settings: Settings, started: LentDatabase) -> None:
    settings.admin_key_path.unlink()
    printed = ask_for_key(settings, started.urls)
    assert works(started.urls, printed)
    assert settings.admin_key_path.read_text().strip() == printed
    assert stat.S_IMODE(settings.admin_key_path.stat().st_mode) == 0o600
    with owner_connection(started.urls) as connection:
        (entry,) = connection.execute("SELECT action, actor_role FROM audit_entries").fetchall()
    assert entry == {"action": "make_admin_key", "actor_role": "system"}


def test_file_with_a_key_that_works_stays(settings: Settings, started: LentDatabase) -> None:
    first = settings.admin_key_path.read_text()
    assert works(started.urls, ask_for_key(settings, started.urls))
    assert settings.admin_key_path.read_text() == first


def test_key_goes_into_a_file_that_is_named_and_nowhere_else(
    settings: Settings, started: LentDatabase, tmp_path: Path
) -> None:
    assert ask_for_key(settings, started.urls, "--output", str(tmp_path / "mine.key")) == ""
    assert works(started.urls, (tmp_path / "mine.key").read_text().strip())
    assert stat.S_IMODE((tmp_path / "mine.key").stat().st_mode) == 0o600


async def test_start_names_a_file_only_where_its_key_works(settings: Settings, system: System) -> None:
    """A past fault: the line named a file that was not there, or a key that had been revoked."""

    async def describe() -> str:
        async with system.work() as work:
            return await describe_key(work)

    path = settings.admin_key_path
    assert await describe() == f"administrator's key in {path}"
    first = path.read_text()
    write_private_file(path, "lbk_00000000_revoked")
    assert "`broker admin-key` on this machine makes one" in await describe()
    path.unlink()
    assert "`broker admin-key` on this machine makes one" in await describe()
    path.write_bytes(b"\xff\xfe")
    assert "`broker admin-key` on this machine makes one" in await describe()
    path.write_text(first)
    assert await describe() == f"administrator's key in {path}"
