"""A real training under a real broker: what its customer sees of it on the way."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.client.rest import Client
from tests.broker.served import ServedBroker, follow_job, make_buyer
from tests.broker.tiny_models import add_tiny

pytestmark = pytest.mark.slow

WORDS = [
    f"{first}{last}" for first in ("amber", "birch", "cedar", "heron") for last in ("fall", "gate", "lake", "wood")
]
PROMPT = "Say a word."
CONFIG = {
    "base_model": "tiny-llama",
    "batch_size": 3,
    "epochs": 60,
    "learning_rate": 0.05,
    "lr_scheduler": "constant",
    "max_length": 64,
    "validation_split": 0.25,
    "sample_prompts": [PROMPT],
}


@pytest.fixture
def broker(server_folder: Path) -> Iterator[ServedBroker]:
    served = ServedBroker(server_folder / "var", {"heartbeat_seconds": "0.5"})
    served.start()
    yield served
    served.close()


def list_rows() -> list[dict[str, str]]:
    """Nothing to learn but the rows themselves: each is a draw of words, so the loss of others rises."""
    draw = random.Random(1)
    return [{"prompt": PROMPT, "completion": " ".join(draw.sample(WORDS, 6))} for _ in range(12)]


def test_losses_samples_overfitting_and_cost_reach_the_customer(broker: ServedBroker) -> None:
    add_tiny(broker, "llama", broker.data_dir.with_name("tiny-llama"))
    with Client(broker.url, broker.admin_key()) as client:
        rows = "\n".join(json.dumps(row) for row in list_rows()).encode()
        buyer = make_buyer(client, broker.data_dir.parent, rows=rows)
        order = {"config": CONFIG, "dataset_id": buyer.dataset_id, "customer_id": buyer.customer_id}
        job = follow_job(client, client.post("/jobs", order)["id"])
        assert job["status"] == "succeeded", job["error"]
        events = client.get(f"/jobs/{job['id']}/events")["data"]
        run = client.get(f"/jobs/{job['id']}/runs")["data"][0]
    observed = {kind: [e["data"] for e in events if e["kind"] == kind] for kind in {event["kind"] for event in events}}
    assert [seen["step"] for seen in observed["validated"]] == list(range(3, 181, 3))
    assert job["progress"]["validation_loss"] == observed["validated"][-1]["loss"]
    assert "set lora_dropout: 0.1" in observed["overfitting_noticed"][-1]["message"]
    assert [(seen["step"], seen["prompt"]) for seen in observed["sampled"]] == [(100, PROMPT), (180, PROMPT)]
    log = (broker.data_dir / "runs" / run["id"] / "trainer.log").read_text()
    last = next(line for line in reversed(log.splitlines()) if line.startswith("step 180/180"))
    assert " CNY" in last
    assert last.split(" cost ")[1].split()[1] == job["cost"]["currency"]
