"""Pictures all the way: upload, quote, job, a real training under a real broker, adapter and bill."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from broker.client.rest import Client
from tests.broker.forked_trainer import forked_trainer
from tests.broker.picture_files import style_files, zip_files
from tests.broker.served import Buyer, ServedBroker, follow_job, make_buyer
from trainer.commands.make_tiny import make_tiny

pytestmark = pytest.mark.slow

CONFIG: dict[str, Any] = {
    "base_model": "sd-1.5",
    "resolution": 64,
    "lora_rank": 2,
    "batch_size": 2,
    "gradient_accumulation": 2,
    "epochs": 4,
    "max_steps": 7,
    "validation_split": 0.2,
    "caption_dropout": 0.25,
}


@pytest.fixture
def folder(server_folder: Path) -> Path:
    return server_folder


@pytest.fixture
def broker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedBroker]:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(folder / "cache"))
    models = folder / "models"
    models.mkdir()
    settings = {"heartbeat_seconds": "0.5", "base_models_dir": str(models), "trainer_command": forked_trainer()}
    served = ServedBroker(folder / "var", settings)
    served.start()
    yield served
    served.close()


def sell(client: Client, folder: Path) -> tuple[Buyer, dict[str, Any]]:
    """Make a customer and the order of a quoted training on pictures."""
    buyer = make_buyer(client, folder)
    archive = folder / "style.zip"
    archive.write_bytes(zip_files(style_files()))
    dataset = client.upload_dataset([archive], customer_id=buyer.customer_id)
    quote = client.post("/quotes", {"config": CONFIG, "dataset_id": dataset["id"]})
    order = {"config": CONFIG, "dataset_id": dataset["id"], "customer_id": buyer.customer_id, "quote_id": quote["id"]}
    return buyer, order | {"estimate": quote["estimate"]}


def test_a_picture_job_ends_with_the_quoted_tokens_an_adapter_and_a_bill(broker: ServedBroker, folder: Path) -> None:
    make_tiny("sd15", folder / "models" / "sd-1.5")
    with Client(broker.url, broker.admin_key()) as client:
        _, order = sell(client, folder)
        quoted = order.pop("estimate")
        job = follow_job(client, client.post("/jobs", order)["id"])
        assert job["status"] == "succeeded", job["error"]
        assert (job["progress"]["step"], quoted["steps"]) == (7, 7)
        usage = client.get(f"/jobs/{job['id']}/usage")
        (adapter,) = [each for each in client.get("/adapters")["data"] if each["job_id"] == job["id"]]
        file = client.download(f"/adapters/{adapter['id']}/download", folder / "style.safetensors")
    assert usage["tokens"] == job["used_tokens"] == quoted["tokens"]
    price = Decimal("6.8") * usage["gpu_seconds"] / 3600 + Decimal("0.00012") * usage["tokens"]
    assert abs(Decimal(job["cost"]["amount"]) - price) <= Decimal("0.005")
    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["adapter_config"])["r"] == 2
        assert all(".lora_" in name for name in list(opened.keys()))


def test_without_weights_the_job_fails_with_where_an_operator_puts_them(broker: ServedBroker, folder: Path) -> None:
    with Client(broker.url, broker.admin_key()) as client:
        _, order = sell(client, folder)
        order.pop("estimate")
        job = follow_job(client, client.post("/jobs", order)["id"])
    assert job["status"] == "failed"
    assert "models/sd-1.5 is no model folder" in job["error"]["message"]
