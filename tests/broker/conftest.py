"""Real PostgreSQL from the real migrations: one server a session, one database a test, cloned from a template."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from fastapi import FastAPI

from broker.app import create_app
from broker.config import Settings
from broker.persistence.embedded import EmbeddedServer, start_embedded_server
from broker.processes.boot import DatabaseUrls, migrate_database, prepare
from broker.system import System, open_system
from tests.broker.factories import Api

NUMBERS = itertools.count(1)
START = datetime(2026, 11, 10, 4, 0, tzinfo=UTC)


class ManualClock:
    """A clock that only the test moves."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """Not below pytest's own folder: every pytest session shuts that one to other users, PostgreSQL's among them."""
    with TemporaryDirectory(prefix="lora-broker-tests-", ignore_cleanup_errors=True) as folder:
        yield from run_server(Path(folder))


def run_server(folder: Path) -> Iterator[EmbeddedServer]:
    server = start_embedded_server(folder)
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
    migrate_database(DatabaseUrls(server.app_url(), server.owner_url()))
    yield server
    server.stop()


@pytest.fixture
def urls(server: EmbeddedServer) -> Iterator[DatabaseUrls]:
    """Make a fresh database with the schema and nothing else in it."""
    with cloned_database(server) as urls:
        yield urls


@contextmanager
def cloned_database(server: EmbeddedServer, template: str = "broker") -> Iterator[DatabaseUrls]:
    """Clone a template into a database of its own, for as long as the block lasts."""
    name = f"test_{next(NUMBERS)}"
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    yield DatabaseUrls(server.app_url(name), server.owner_url(name))
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("data"), local_slots=0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def system(settings: Settings, urls: DatabaseUrls, clock: ManualClock) -> AsyncIterator[System]:
    async with opened_system(settings, urls, clock) as system:
        yield system


@asynccontextmanager
async def opened_system(settings: Settings, urls: DatabaseUrls, clock: ManualClock) -> AsyncIterator[System]:
    """Open the system with its rate cards published and the clock in the test's hands."""
    prepared = await prepare(settings, urls)
    await prepared.database.close()
    system = open_system(settings, urls.app, clock=clock)
    yield system
    await system.database.close()


@pytest.fixture
def app(system: System) -> FastAPI:
    return create_app(system)


@pytest.fixture
async def api(app: FastAPI, settings: Settings) -> AsyncIterator[Api]:
    """Connect the administrator to the API."""
    async with Api.connect(app, settings.admin_key_path.read_text().strip()) as api:
        yield api
