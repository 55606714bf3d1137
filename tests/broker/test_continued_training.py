"""A real training that goes on from another's adapter under a real broker, and its log."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.client.rest import Client
from tests.broker.forked_trainer import forked_trainer
from tests.broker.served import ServedBroker, follow_job, make_buyer
from tests.broker.test_real_training import list_rows
from tests.broker.tiny_models import add_tiny

pytestmark = pytest.mark.slow

CONFIG = {
    "base_model": "tiny-llama",
    "batch_size": 4,
    "epochs": 20,
    "learning_rate": 0.05,
    "lr_scheduler": "constant",
    "max_length": 64,
}


@pytest.fixture
def broker(server_folder: Path) -> Iterator[ServedBroker]:
    served = ServedBroker(server_folder / "var", {"heartbeat_seconds": "0.5", "trainer_command": forked_trainer()})
    served.start()
    yield served
    served.close()


def read_first_loss(client: Client, job_id: str) -> float:
    (line,) = client.get(f"/jobs/{job_id}/logs", search="step 1/")["data"]
    return float(line["text"].split(" loss ")[1].split()[0])


def test_a_job_begins_where_another_ended_and_tells_its_log(broker: ServedBroker) -> None:
    add_tiny(broker, "llama", broker.data_dir.with_name("tiny-llama"))
    with Client(broker.url, broker.admin_key()) as client:
        rows = "\n".join(json.dumps(row) for row in list_rows()).encode()
        buyer = make_buyer(client, broker.data_dir.parent, rows=rows)
        order = {"config": CONFIG, "dataset_id": buyer.dataset_id, "customer_id": buyer.customer_id}
        first = follow_job(client, client.post("/jobs", order)["id"])
        assert first["status"] == "succeeded", first["error"]
        goes_on = {**order, "config": {**CONFIG, "init_from": first["adapter_id"]}}
        second = follow_job(client, client.post("/jobs", goes_on)["id"])
        assert second["status"] == "succeeded", second["error"]
        log = client.get(f"/jobs/{first['id']}/logs")
        assert log["data"][-1]["text"].startswith("succeeded: ")
        assert log["left_out"] == 0
        assert read_first_loss(client, second["id"]) < read_first_loss(client, first["id"])
        assert client.get(f"/adapters/{second['adapter_id']}")["init_from"] == first["adapter_id"]
