"""A real training makes room for a guarantee: it saves, waits its turn, goes on from there, and pays nothing twice."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.client.rest import Client
from tests.broker.factories import ROWS, jsonl
from tests.broker.forked_trainer import forked_trainer
from tests.broker.served import Buyer, ServedBroker, follow_job, make_buyer
from tests.broker.tiny_models import add_tiny

pytestmark = pytest.mark.slow

CONFIG = {"base_model": "tiny-llama", "batch_size": 1, "max_length": 64, "save_steps": 100_000}
FEW_ROWS = jsonl(ROWS[:4])


@pytest.fixture
def broker(server_folder: Path) -> Iterator[ServedBroker]:
    settings = {"heartbeat_seconds": "0.5", "preemption_least_run_seconds": "0", "trainer_command": forked_trainer()}
    served = ServedBroker(server_folder / "var", settings)
    served.start()
    yield served
    served.close()


def make_owner(client: Client, folder: Path) -> Buyer:
    """Make a customer to whom the only slot is guaranteed."""
    wanted = [{"gpu_type": "cpu", "gpus": 1, "monthly_price": "100.00"}]
    return make_buyer(client, folder, plan="long_term", committed_gpu_hours=2000, rows=FEW_ROWS, guaranteed_gpus=wanted)


def wait_for_steps(client: Client, job_id: str, steps: int) -> None:
    while ((client.get(f"/jobs/{job_id}"))["progress"] or {}).get("step", 0) < steps:
        time.sleep(0.1)


def list_causes(client: Client, job_id: str) -> list[str]:
    runs: list[dict[str, Any]] = client.get(f"/jobs/{job_id}/runs")["data"]
    return [run["cause"] for run in runs]


def test_job_makes_room_for_a_guarantee_and_goes_on_from_its_checkpoint(broker: ServedBroker) -> None:
    with Client(broker.url, broker.admin_key()) as client:
        folder = broker.data_dir.parent
        add_tiny(broker, "llama", folder / "tiny-llama")
        other, owner = make_buyer(client, folder, rows=FEW_ROWS), make_owner(client, folder)
        lent = client.post("/jobs", other.order(config={**CONFIG, "epochs": 500}))["id"]
        wait_for_steps(client, lent, 1)
        own = client.post("/jobs", owner.order(config={**CONFIG, "batch_size": 4, "epochs": 1}))["id"]
        assert follow_job(client, own)["status"] == "succeeded"
        job = follow_job(client, lent)
        assert job["status"] == "succeeded", job["error"]
        assert list_causes(client, lent) == ["preempted", "succeeded"]
        (eviction,) = job["evictions"]
        assert (eviction["by"], eviction["for_job_id"], eviction["lost_tokens"]) == ("a guaranteed contract", own, 0)
        assert (job["used_tokens"], job["borne_tokens"]) == (job["estimate"]["tokens"], 0), "no step is done twice"
        shown = broker.run_cli("jobs", "show", lent)
        assert "It made room for a guaranteed contract" in shown.stdout.replace("\n", " "), shown.stderr
