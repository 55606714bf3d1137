"""Clients that nobody here wrote, unchanged: `make test-clients` runs these, `make test` leaves them out.

Each is a process of its own, of a virtual environment or folder of its own, at a real broker. What is not installed is
skipped, and said in the last lines.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from broker.client.rest import Client
from tests.broker.factories import CONFIG, SIGNED_AT, jsonl
from tests.broker.served import ServedBroker, fake_trainer, follow_job, free_port

WANTED = "BROKER_TEST_CLIENTS"
FOLDER = Path(os.environ.get(WANTED, "")).absolute()  # a client runs in a folder of its own
collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]


@dataclass(frozen=True)
class Buyer:
    """A customer at a real broker: its address, and a key that may order within 20 yuan."""

    broker: ServedBroker
    id: str
    key: str

    @property
    def client(self) -> Client:
        return Client(self.broker.url, self.key)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBroker]:
    """Serve a broker whose trainer trains nothing but speaks the real worker protocol."""
    settings = {"trainer_command": fake_trainer(beats=60), "local_slots": "1"}
    served = ServedBroker(tmp_path_factory.mktemp("clients") / "data", settings)
    served.start()
    yield served
    served.close()


@dataclass(frozen=True)
class Trained:
    """What a real training made: its customer and key, its job and adapter; and where an inference server would be."""

    broker: ServedBroker
    key: str
    job: dict[str, Any]
    adapter: dict[str, Any]
    inference_port: int


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Serve a broker that really trains, and have it train once."""
    folder, port = tmp_path_factory.mktemp("trained"), free_port()
    settings = {"local_slots": "1", "inference_url": f"http://127.0.0.1:{port}/v1"}
    served = ServedBroker(folder / "data", settings)
    served.start()
    data = folder / "tea.jsonl"
    data.write_bytes(jsonl())
    with Client(served.url, served.admin_key()) as admin:
        customer = admin.post("/customers", {"name": "Acme Tea"})["id"]
        admin.post("/contracts", {"customer_id": customer, "plan": "on_demand", "starts_at": SIGNED_AT})
        key = admin.post(f"/customers/{customer}/api-keys", {"name": "hub", "max_cost": "20.00"})["key"]
    with Client(served.url, key) as own:
        dataset = own.upload_dataset([data])["id"]
        job = follow_job(own, own.post("/jobs", {"config": CONFIG, "dataset_id": dataset})["id"])
        assert job["status"] == "succeeded", job["error"]
        yield Trained(served, key, job, own.get(f"/adapters/{job['adapter_id']}"), port)
    served.close()


@pytest.fixture
def buyer(broker: ServedBroker) -> Buyer:
    with Client(broker.url, broker.admin_key()) as admin:
        customer = admin.post("/customers", {"name": f"Buyer {os.urandom(4).hex()}"})["id"]
        admin.post("/contracts", {"customer_id": customer, "plan": "on_demand", "starts_at": SIGNED_AT})
        made = admin.post(f"/customers/{customer}/api-keys", {"name": "clients", "max_cost": "20.00"})
    return Buyer(broker, customer, made["key"])
