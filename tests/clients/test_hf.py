"""The Hugging Face hub's own client at `/hf`: a trained adapter is downloaded byte by byte, and plain peft reads it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.client.rest import Client
from tests.broker.factories import CONFIG, SIGNED_AT, jsonl
from tests.broker.served import ServedBroker, follow_job

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def trainer_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBroker]:
    """Serve a broker that really trains."""
    served = ServedBroker(tmp_path_factory.mktemp("hf") / "data", {"local_slots": "1"})
    served.start()
    yield served
    served.close()


def test_an_adapter_is_downloaded_as_from_the_hub_and_read_by_plain_peft(
    trainer_broker: ServedBroker, tmp_path: Path
) -> None:
    data = tmp_path / "tea.jsonl"
    data.write_bytes(jsonl())
    with Client(trainer_broker.url, trainer_broker.admin_key()) as admin:
        customer = admin.post("/customers", {"name": "Acme Tea"})["id"]
        admin.post("/contracts", {"customer_id": customer, "plan": "on_demand", "starts_at": SIGNED_AT})
        key = admin.post(f"/customers/{customer}/api-keys", {"name": "hub"})["key"]
    with Client(trainer_broker.url, key) as own:
        dataset = own.upload_dataset([data])["id"]
        job = follow_job(own, own.post("/jobs", {"config": CONFIG, "dataset_id": dataset})["id"])
        assert job["status"] == "succeeded", job["error"]
        adapter = own.get(f"/adapters/{job['adapter_id']}")
    told = {"HF_ENDPOINT": f"{trainer_broker.url}/hf", "HF_TOKEN": key, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, str(HERE / "hf_walk.py"), f"acme-tea/{adapter['name']}", str(tmp_path)]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    weights = (tmp_path / "whole" / "adapter_model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == adapter["sha256"]
    assert found["sha"] == adapter["sha256"][:40]
    assert found["files"] == found["tree"] == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert (found["whoami"], found["one"]) == ("acme-tea", True)
    assert found["config"][:2] == ["LORA", 8]
    assert found["tensors"] == 120  # A and B of two modules of thirty layers
    assert found["faults"] == {
        "entry": "RemoteEntryNotFoundError",
        "revision": "RevisionNotFoundError",
        "repository": "RepositoryNotFoundError",
    }
