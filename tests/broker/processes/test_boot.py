"""Starting up: what a first start makes, a second one keeps, and two at once make once."""

import asyncio
import logging
import stat
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from broker.config import Settings
from broker.errors import OperatorError
from broker.identity.model import hash_key
from broker.persistence.pool import with_driver
from broker.processes.boot import (
    DatabaseUrls,
    MissingDatabaseUrl,
    MissingMigrationUrl,
    database_urls,
    migrate_database,
    prepare,
    require_shared_database,
)
from broker.processes.serve import prepared_daemon
from broker.system import System
from tests.broker.rows import owner_connection


async def start(settings: Settings, urls: DatabaseUrls) -> None:
    system: System = await prepare(settings, urls)
    await system.database.close()


def read_keys(urls: DatabaseUrls) -> list[dict[str, object]]:
    with owner_connection(urls) as connection:
        return connection.execute("SELECT role, customer_id, key_hash FROM api_keys").fetchall()


async def test_first_start_writes_the_administrators_key_for_its_owner_alone(
    settings: Settings, urls: DatabaseUrls
) -> None:
    await start(settings, urls)
    clear = settings.admin_key_path.read_text().strip()
    assert stat.S_IMODE(settings.admin_key_path.stat().st_mode) == 0o600
    assert read_keys(urls) == [{"role": "admin", "customer_id": None, "key_hash": hash_key(clear)}]


async def test_second_start_keeps_the_key_and_the_rate_cards(settings: Settings, urls: DatabaseUrls) -> None:
    await start(settings, urls)
    key, rows = settings.admin_key_path.read_text(), read_keys(urls)
    await start(settings, urls)
    assert (settings.admin_key_path.read_text(), read_keys(urls)) == (key, rows)


async def test_two_first_starts_at_once_make_one_administrator(settings: Settings, urls: DatabaseUrls) -> None:
    """A past fault: both made a key, and only one of them stood in the file."""
    await asyncio.gather(*(start(settings, urls) for _ in range(4)))
    keys = read_keys(urls)
    assert [key["key_hash"] for key in keys] == [hash_key(settings.admin_key_path.read_text().strip())]


async def test_start_after_a_crash_before_the_commit_makes_a_key_that_works(
    settings: Settings, urls: DatabaseUrls
) -> None:
    """The file was written, the row was not."""
    settings.admin_key_path.write_text("lbk_00000000_lost\n")
    await start(settings, urls)
    assert read_keys(urls)[0]["key_hash"] == hash_key(settings.admin_key_path.read_text().strip())


@pytest.mark.parametrize(
    "fault",
    ["SELECT pg_terminate_backend(pg_backend_pid())", "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '55P03'; END $$"],
    ids=["away", "busy"],
)
async def test_start_whose_database_fails_in_the_midst_of_it_begins_again(
    settings: Settings,
    urls: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    """A past fault, found by a soak: an agent that was started as PostgreSQL died ended with a traceback."""
    opened: list[System] = []

    async def die_once(settings: Settings, urls: DatabaseUrls) -> System:
        opened.append(await prepare(settings, urls))
        if len(opened) == 1:
            async with opened[0].work() as work:
                await work.session.execute(text(fault))
        return opened[-1]

    monkeypatch.setattr("broker.processes.serve.prepare", die_once)
    async with prepared_daemon(settings, urls) as daemon:
        assert daemon.system is opened[1]
    (told,) = [record for record in caplog.records if "as we started" in record.message]
    assert (told.levelno, told.exc_info) == (logging.WARNING, None)
    await opened[0].database.close()


def test_migration_whose_database_dies_in_the_midst_of_it_begins_again(
    urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def die_once(owner_url: str) -> None:
        calls.append(owner_url)
        if len(calls) == 1:
            with create_engine(with_driver(owner_url)).connect() as connection:
                connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    monkeypatch.setattr("broker.processes.boot.migrate", die_once)
    migrate_database(urls)
    assert len(calls) == 2


async def test_rate_cards_are_published_as_the_catalogue_has_them(settings: Settings, urls: DatabaseUrls) -> None:
    await start(settings, urls)
    with owner_connection(urls) as connection:
        versions = connection.execute("SELECT version FROM rate_cards").fetchall()
    assert {"version": "2026-01-01"} in versions


async def test_published_rate_card_with_other_prices_stops_the_start(settings: Settings, urls: DatabaseUrls) -> None:
    await start(settings, urls)
    with owner_connection(urls) as connection:
        connection.execute("ALTER TABLE rate_cards DISABLE TRIGGER refuse_change")
        connection.execute("UPDATE rate_cards SET document = jsonb_set(document, '{currency}', '\"USD\"')")
    with pytest.raises(RuntimeError, match="give the new ones a new version"):
        await start(settings, urls)


def test_own_server_needs_the_owners_url_to_migrate() -> None:
    settings = Settings(database_url="postgresql://broker_app@db/broker")
    with database_urls(settings) as urls, pytest.raises(MissingMigrationUrl, match="BROKER_MIGRATION_DATABASE_URL"):
        migrate_database(urls)


def test_owners_url_alone_is_not_taken_for_the_embedded_server(tmp_path: Path) -> None:
    """A past fault: `broker migrate` made a database in the data directory, and said that it was done."""
    settings = Settings(migration_database_url="postgresql://owner@db/broker", data_dir=tmp_path / "var")
    with pytest.raises(MissingDatabaseUrl, match=r"set BROKER_DATABASE_URL"), database_urls(settings):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_worker_makes_no_database_of_its_own(tmp_path: Path) -> None:
    """Fault of before: without the broker's URL it made an empty one, and said that a role of it was missing."""
    with pytest.raises(MissingDatabaseUrl, match=f"set BROKER_DATABASE_URL to .*; {tmp_path} holds none"):
        require_shared_database(Settings(data_dir=tmp_path))
    require_shared_database(Settings(data_dir=tmp_path, database_url="postgresql://broker_app@db/broker"))
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").touch()
    require_shared_database(Settings(data_dir=tmp_path))


def test_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OperatorError, match=r"BROKER_DATA_DIR: .*file/var cannot be used \(Not a directory\)"),
        database_urls(Settings(data_dir=tmp_path / "file" / "var")),
    ):
        pass


async def test_data_directory_beside_a_server_of_ones_own_is_looked_at_too(tmp_path: Path, urls: DatabaseUrls) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match="BROKER_DATA_DIR"):
        await prepare(Settings(data_dir=tmp_path / "file" / "var"), urls)


def test_own_server_is_used_as_it_is_named() -> None:
    settings = Settings(database_url="postgresql://a@db/broker", migration_database_url="postgresql://b@db/broker")
    with database_urls(settings) as urls:
        assert urls == DatabaseUrls("postgresql://a@db/broker", "postgresql://b@db/broker")
