"""A broker that serves and runs nothing, its workers, and one who buys: for tests of several processes.

Fixtures for a module that says its `LEASE_SECONDS`; and what such tests wait for.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.client.rest import Client
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls
from tests.broker.databases import cloned_database
from tests.broker.served import Buyer, ServedBroker, fake_trainer, make_buyer

DEADLINE_SECONDS = 300
ENDLESS = {"beats": 100_000, "pause": 0.05, "save": 4}
QUICK = {"beats": 6, "pause": 0.05, "save": 4}
TIMES = {
    "heartbeat_seconds": "0.2",
    "sweep_seconds": "0.5",
    "cycle_seconds": "0.5",
    "stop_grace_seconds": "3",
}


class WorkerProcess(ServedBroker):
    """`broker worker`."""

    def start(self, *, wait: bool = True) -> None:  # noqa: ARG002 (nothing answers; its pool tells when it is there)
        self.run("worker", "--data-dir", str(self.data_dir))


class Place:
    """A broker that serves, and what workers of its installation need."""

    def __init__(self, folder: Path, urls: DatabaseUrls, **times: str) -> None:
        self.folder, self.urls = folder, urls
        self.shared = (
            TIMES
            | times
            | {
                "database_url": urls.app,
                "migration_database_url": str(urls.owner),
                "secret_key": "0123456789abcdef",
                "storage_dir": str(folder / "storage"),
            }
        )
        self.hub = ServedBroker(folder / "hub", self.shared | {"local_slots": "0"})
        self.started: list[ServedBroker] = [self.hub]

    def worker(self, name: str, pool: str, trainer: str | None = None, **settings: str) -> WorkerProcess:
        """Make a worker that serves a pool, not yet started."""
        own = {"pool": pool, "public_url": self.hub.url, "trainer_command": trainer or fake_trainer(**ENDLESS)}
        worker = WorkerProcess(self.folder / f"{name}-data", self.shared | own | settings)
        self.started.append(worker)
        return worker

    def close(self) -> None:
        for process in self.started:
            process.close()


@pytest.fixture(scope="module")
def place(
    request: pytest.FixtureRequest, server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Serve a broker whose leases last as long as the module of the tests says."""
    with cloned_database(server) as urls:
        place = Place(tmp_path_factory.mktemp("place"), urls, lease_seconds=str(request.module.LEASE_SECONDS))
        place.hub.start()
        yield place
        place.close()


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Client]:
    with Client(place.hub.url, place.hub.admin_key()) as client:
        yield client


@pytest.fixture
def buyer(client: Client, tmp_path: Path) -> Buyer:
    return make_buyer(client, tmp_path)


def eventually(ask: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.1)
    pytest.fail(f"never: {what}")


def submit(client: Client, buyer: Buyer) -> str:
    return str(client.post("/jobs", buyer.order())["id"])


def wait_for_step(client: Client, job_id: str, step: int) -> Any:
    def ask() -> Any:
        job = client.get(f"/jobs/{job_id}")
        return job if job["progress"] and job["progress"]["step"] >= step else None

    return eventually(ask, f"{job_id} at step {step}")


def wait_for_status(client: Client, job_id: str, *wanted: str) -> Any:
    def ask() -> Any:
        job = client.get(f"/jobs/{job_id}")
        return job if job["status"] in wanted else None

    return eventually(ask, f"{job_id} {wanted}")


def wait_for_pool(client: Client, name: str, state: str) -> Any:
    def ask() -> Any:
        return next((p for p in client.get("/pools")["data"] if (p["name"], p["state"]) == (name, state)), None)

    return eventually(ask, f"pool {name} {state}")


def runs_of(client: Client, job_id: str) -> list[Any]:
    return list(client.get(f"/jobs/{job_id}/runs")["data"])


def agents_of(client: Client, pool: str) -> list[Any]:
    return [agent for agent in client.list_all("/agents") if agent["pool"] == pool]
