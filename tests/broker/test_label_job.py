"""Labelling all the way: upload, quote, job, a real captioning model under a real broker, the version and the bill."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.client.rest import Client
from tests.broker.forked_trainer import forked_trainer
from tests.broker.picture_files import draw_picture, zip_files
from tests.broker.served import ServedBroker, follow_job, make_buyer
from trainer.commands.make_tiny import make_tiny

pytestmark = pytest.mark.slow  # a real broker, and a worker that imports torch

CONFIG: dict[str, Any] = {
    "kind": "auto_label",
    "trigger": "slwfry",
    "max_tokens": 6,
    "scope": "all",
    "conflict": "prepend",
    "save_steps": 2,
}


@pytest.fixture
def folder(server_folder: Path) -> Path:
    return server_folder


@pytest.fixture
def broker(folder: Path) -> Iterator[ServedBroker]:
    models = folder / "models"
    make_tiny("blip", models / "tiny-blip")
    settings = {"heartbeat_seconds": "0.5", "base_models_dir": str(models), "captioners": "tiny-blip"}
    settings |= {"trainer_command": forked_trainer()}
    served = ServedBroker(folder / "var", settings)
    served.start()
    yield served
    served.close()


def upload(client: Client, folder: Path, customer_id: str) -> dict[str, Any]:
    files: dict[str, bytes | str] = {f"{number}.png": draw_picture(number=number) for number in range(6)}
    archive = folder / "style.zip"
    archive.write_bytes(zip_files(files | {"3.txt": "a person wrote this"}))
    uploaded: dict[str, Any] = client.upload_dataset([archive], customer_id=customer_id)
    return uploaded


def test_pictures_are_labelled_for_the_tokens_that_were_generated(broker: ServedBroker, folder: Path) -> None:
    with Client(broker.url, broker.admin_key()) as client:
        buyer = make_buyer(client, folder)
        dataset = upload(client, folder, buyer.customer_id)
        order = {"config": CONFIG, "dataset_id": dataset["id"]}
        quote = client.post("/quotes", order)
        assert (quote["estimate"]["steps"], quote["estimate"]["tokens"]) == (6, 36)
        assert quote["config"]["base_model"] == "tiny-blip"
        submitted = {**order, "customer_id": buyer.customer_id, "quote_id": quote["id"]}
        job = follow_job(client, client.post("/jobs", submitted)["id"])
        assert (job["status"], job["kind"]) == ("succeeded", "auto_label"), job["error"]
        made = client.get(f"/datasets/{job['made_dataset_id']}")
        assert (made["version"], made["origin"], made["job_id"]) == (2, "auto_label", job["id"])
        captions = {each["name"]: each["caption"] for each in client.get(f"/datasets/{made['id']}/pictures")["data"]}
        usage = client.get(f"/jobs/{job['id']}/usage")
        events = [event["kind"] for event in client.get(f"/jobs/{job['id']}/events")["data"]]
        check = {"config": {"kind": "check"}, "dataset_id": made["id"], "customer_id": buyer.customer_id}
        checked = follow_job(client, client.post("/jobs", check)["id"])
        report = client.get(f"/datasets/{made['id']}")
    assert (checked["status"], report["checked_at"] is None) == ("succeeded", False), checked["error"]
    assert any("pixels" in each["message"] for each in report["findings"])
    assert len(captions) == 6
    assert all(caption.startswith("slwfry") for caption in captions.values())
    assert captions["3.png"].endswith(", a person wrote this")
    assert 6 <= job["used_tokens"] == usage["tokens"] <= 36
    price = Decimal("6.8") * usage["gpu_seconds"] / 3600 + Decimal("0.00012") * usage["tokens"]
    assert abs(Decimal(job["cost"]["amount"]) - price) <= Decimal("0.005")
    assert {"checkpoint_saved", "sampled", "captions_kept"} <= set(events)
