"""Real PostgreSQL from the real migrations: one server a session, databases lent to one test after the other."""

from collections.abc import AsyncIterator, Iterator
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI
from starlette.datastructures import State

from broker.app import create_app, hand_over
from broker.config import Settings
from broker.http.lingering import Body
from broker.persistence.embedded import EmbeddedServer, start_embedded_server
from broker.private_file import write_private_file
from broker.processes.boot import DatabaseUrls, prepare
from broker.system import System, open_system
from tests.broker.database_folder import copy_database_folder
from tests.broker.databases import Contents, Lender, LentDatabase, cloned_database, open_lender, read_contents
from tests.broker.factories import Api
from tests.broker.rate_cards import HALF_PRICE_FROM, publish_half_price
from tests.conftest import FolderMaker

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
def server(server_folders: FolderMaker) -> Iterator[EmbeddedServer]:
    with server_folders() as folder:
        yield from run_server(folder)


def run_server(folder: Path) -> Iterator[EmbeddedServer]:
    copy_database_folder(folder)
    server = start_embedded_server(folder)
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        for setting in ("synchronous_commit = off", "autovacuum = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
async def lender(server: EmbeddedServer) -> AsyncIterator[Lender]:
    lender = open_lender(server)
    yield lender
    await lender.close()


@pytest.fixture
async def lent(lender: Lender) -> AsyncIterator[LentDatabase]:
    async with lender.lend() as lent:
        yield lent


@pytest.fixture
def urls(lent: LentDatabase) -> DatabaseUrls:
    """Lend a database with the schema and nothing else in it."""
    return lent.urls


@dataclass(frozen=True)
class FirstStart:
    """What the first start of a broker leaves in its database and data folder, and a second rate card."""

    contents: Contents
    admin_key: str


@pytest.fixture(scope="session")
async def first_start(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> FirstStart:
    settings = Settings(data_dir=tmp_path_factory.mktemp("first-start"), local_slots=0)
    with cloned_database(server) as urls:
        system = await prepare(settings, urls)
        await publish_half_price(system, HALF_PRICE_FROM)
        await system.database.close()
        with psycopg.connect(str(urls.owner)) as owner:
            return FirstStart(read_contents(owner), settings.admin_key_path.read_text().strip())


@pytest.fixture
def started(lent: LentDatabase, settings: Settings, first_start: FirstStart) -> LentDatabase:
    """Fill the database as a first start does: rate cards published, the administrator's key in the data folder."""
    lent.fill(first_start.contents)
    write_private_file(settings.admin_key_path, first_start.admin_key)
    return lent


@pytest.fixture(scope="session")
def usual_settings() -> Settings:
    """Read the environment once: that takes longer than many a test."""
    return Settings(local_slots=0)


@pytest.fixture
def settings(usual_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return usual_settings.model_copy(update={"data_dir": tmp_path_factory.mktemp("data")})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def system(settings: Settings, started: LentDatabase, clock: ManualClock) -> System:
    """Open the system, rate cards published, the clock in the test's hands."""
    return replace(open_system(settings, started.urls.app, clock=clock), database=started.database)


@pytest.fixture(scope="session")
def routed_app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """Make an application that answers nothing; it lends its routes."""
    return create_app(open_system(Settings(data_dir=tmp_path_factory.mktemp("routes")), "postgresql:///nowhere"))


@pytest.fixture
def app(system: System, routed_app: FastAPI) -> FastAPI:
    return create_routed_app(system, routed_app)


def create_routed_app(system: System, routed_app: FastAPI) -> FastAPI:
    """Make the application on this system, with the routes, which hold nothing, of another.

    Adding them, and working out what each takes when it is first asked for, takes longer than most tests.
    """
    app = copy(routed_app)
    app.state, app.middleware_stack = State(), None
    app.router = copy(routed_app.router)
    app.router.routes, app.router.middleware_stack = [*routed_app.router.routes], app.router.app
    hand_over(app, system)
    return app


@pytest.fixture
async def api(app: FastAPI, settings: Settings) -> AsyncIterator[Api]:
    """Connect the administrator to the API."""
    async with Api.connect(app, settings.admin_key_path.read_text().strip()) as api:
        yield api


@pytest.fixture
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no more of a request once it is answered, so that a test sees what was read for the answer."""

    async def take_no_more(*_bounds: object) -> None:
        return

    monkeypatch.setattr(Body, "linger", take_no_more)
