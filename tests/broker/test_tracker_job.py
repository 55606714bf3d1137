"""A customer's tracker all the way: secret, job, a real training under a real broker, and what the tracker was told."""

from pathlib import Path

import pytest

from broker.client.rest import Client
from tests.broker.factories import CONFIG
from tests.broker.forked_trainer import forked_trainer
from tests.broker.mlflow_like import receiving
from tests.broker.served import ServedBroker, follow_job, make_buyer

pytestmark = pytest.mark.slow  # a real broker, and workers that import torch

KEY = "a-key-that-nobody-sees"


def test_a_training_tells_the_customers_tracker_and_one_that_fails_harms_nothing(server_folder: Path) -> None:
    with receiving() as told:
        settings = {"heartbeat_seconds": "0.5", "webhook_networks": "127.0.0.1/32", "trainer_command": forked_trainer()}
        broker = ServedBroker(server_folder / "var", settings)
        broker.start()
        try:
            with Client(broker.url, broker.admin_key()) as client:
                buyer = make_buyer(client, server_folder)
                secret = {"customer_id": buyer.customer_id, "name": "mlflow", "kind": "mlflow", "key": KEY}
                client.post("/secrets", {**secret, "url": told.url})
                order = {"config": CONFIG, "dataset_id": buyer.dataset_id, "customer_id": buyer.customer_id}
                submitted = client.post("/jobs", {**order, "tracker": {"secret": "mlflow", "project": "tea"}})
                job = follow_job(client, submitted["id"])
                assert job["status"] == "succeeded", job["error"]
                assert (told.authorizations, told.run_status) == ({f"Bearer {KEY}"}, "FINISHED")
                assert told.params["base_model"] == CONFIG["base_model"]
                losses = {each["step"] for each in told.metrics if each["key"] == "train/loss"}
                assert losses == set(range(1, job["progress"]["total_steps"] + 1))
                told.status = 500
                again = client.post("/jobs", {**order, "tracker": {"secret": "mlflow"}})
                job = follow_job(client, again["id"])
                lines = "\n".join(each["text"] for each in client.get(f"/jobs/{job['id']}/logs")["data"])
        finally:
            broker.close()
        assert job["status"] == "succeeded", job["error"]
        assert "mlflow is told nothing more" in lines
        files = [each for each in server_folder.rglob("*") if each.is_file() and not each.is_symlink()]
        assert files
        assert [each for each in files if KEY.encode() in each.read_bytes()] == []
