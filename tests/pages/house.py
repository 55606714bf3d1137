"""A broker that is served to a real browser: on a database of its own, in the loop of the tests, which can harm it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg
import uvicorn
from fastapi import FastAPI
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from broker.app import create_app
from broker.config import Settings
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import prepare
from broker.system import System, open_system
from tests.broker.conftest import ManualClock
from tests.broker.databases import cloned_database
from tests.broker.factories import Api, make_customer, staff_key
from tests.broker.served import free_port
from tests.broker.tenants import Tenant, make_tenant

STAFF = ("finance", "ops")
Role = str


@dataclass(frozen=True)
class House:
    """A served broker, its administrator at the API, a key for each role, and the tenant that has one of everything.

    `tenant` is None where the house is empty: a customer that has nothing, and staff that has nobody else.
    """

    url: str
    app: FastAPI
    system: System
    clock: ManualClock
    api: Api
    keys: dict[Role, str]
    tenant: Tenant | None
    database_name: str

    async def begin_session(self, role: Role) -> str:
        """Sign in without a browser; returns the token of the session, which is its cookie."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            response = await client.post("/console/sign-in", data={"key": self.keys[role]})
            assert response.status_code == 303, response.text
            return str(response.cookies["broker_session"])

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """Have every page find that the database refuses, though who asks is still known."""
        whole = self.app.state.database
        self.app.state.database = RefusingDatabase(whole)
        try:
            yield
        finally:
            self.app.state.database = whole


class RefusingDatabase:
    """A database that opens no transaction."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    @asynccontextmanager
    async def transaction_with(self, *_asked: Any, **_options: Any) -> AsyncIterator[Any]:
        raise OperationalError("BEGIN", {}, psycopg.OperationalError("the test has the database refuse"))
        yield


class QuietServer(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def open_house(server: EmbeddedServer, folder: Path, *, furnished: bool) -> AsyncIterator[House]:
    """Serve a broker for as long as the block lasts."""
    settings = Settings(data_dir=folder, local_slots=0)
    with cloned_database(server) as urls:
        await (await prepare(settings, urls)).database.close()
        clock = ManualClock()
        system = open_system(settings, urls.app, clock=clock)
        app = create_app(system)
        async with Api.connect(app, settings.admin_key_path.read_text().strip()) as api, _serve(app) as url:
            tenant = await make_tenant(api, system) if furnished else None
            customer = (await make_customer(api))["id"] if tenant is None else tenant.customer_id
            made = await api.post(f"/customers/{customer}/api-keys", {"name": "console"}, expect=201)
            keys = {role: await staff_key(api, role) for role in STAFF}
            keys |= {"customer": made["key"], "admin": settings.admin_key_path.read_text().strip()}
            yield House(url, app, system, clock, api, keys, tenant, str(make_url(urls.app).database))


@asynccontextmanager
async def _serve(app: FastAPI) -> AsyncIterator[str]:
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn sets it, and no event)
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving
