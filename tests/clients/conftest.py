"""Clients that nobody here wrote, unchanged: `make test-clients` runs these, `make test` leaves them out.

Each is a process of its own, of a virtual environment or folder of its own, at a real broker. What is not installed is
skipped, and said in the last lines.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.client.rest import Client
from tests.broker.factories import SIGNED_AT
from tests.broker.served import ServedBroker, fake_trainer

WANTED = "BROKER_TEST_CLIENTS"
FOLDER = Path(os.environ.get(WANTED, ""))
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


@pytest.fixture
def buyer(broker: ServedBroker) -> Buyer:
    with Client(broker.url, broker.admin_key()) as admin:
        customer = admin.post("/customers", {"name": f"Buyer {os.urandom(4).hex()}"})["id"]
        admin.post("/contracts", {"customer_id": customer, "plan": "on_demand", "starts_at": SIGNED_AT})
        made = admin.post(f"/customers/{customer}/api-keys", {"name": "clients", "max_cost": "20.00"})
    return Buyer(broker, customer, made["key"])
