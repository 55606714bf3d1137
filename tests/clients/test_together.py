"""Together's own package at `/together`, and its command."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.broker.factories import jsonl
from tests.clients.conftest import FOLDER, Buyer
from tests.clients.losing_proxy import losing_proxy

HERE = Path(__file__).parent
PYTHON = FOLDER / "together/bin/python"
ONE_JOB = """
import together, sys
client = together.Together()
file = client.files.upload(sys.argv[1])
print(client.fine_tuning.create(model="smollm2-135m-instruct", training_file=file.id).id)
"""

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="the together package is not installed here")


def run(buyer: Buyer, address: str, *command: str | Path) -> str:
    told = {"TOGETHER_API_KEY": buyer.key, "TOGETHER_BASE_URL": f"{address}/together"}
    told |= {"PATH": os.environ["PATH"], "HOME": str(FOLDER), "TOGETHER_TELEMETRY_DISABLED": "1"}
    done = subprocess.run(
        [PYTHON, *map(str, command)], env=told, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_bytes(jsonl())
    return path


def test_a_customer_of_together_changes_an_address_and_nothing_else(buyer: Buyer, data: Path) -> None:
    found = json.loads(run(buyer, buyer.broker.url, HERE / "together_walk.py", data, data.parent).splitlines()[-1])
    assert found["file"] == ["train.jsonl", len(jsonl()), "jsonl", "COMPLETED"]
    assert (found["content"], found["files"], found["listed"], found["again"]) == (True, True, True, True)
    price, job = found["price"], found["job"]
    assert (price["estimation_available"], price["user_limit"], price["currency"]) == (True, 20.0, "CNY")
    assert (job["status"], job["model"], job["suffix"]) == ("completed", "smollm2-135m-instruct", "tea")
    assert (job["training_type"]["lora_r"], job["random_seed"], job["batch_size"]) == (4, 5, 4)
    assert job["token_count"] > 0
    assert job["model_output_name"].startswith("smollm2-135m-instruct-tea-ada_")
    assert (found["events"][0], found["events"][-1]) == ("job_pending", "job_complete")
    assert found["metrics"] == []  # the trainer of this broker measures none
    assert found["checkpoints"] == sorted(found["checkpoints"], reverse=True)
    assert found["archive"][0][-1] == "adapter_model.safetensors"
    assert found["archive"][1:] == [f"{job['model_output_name']}.tar.gz", True, True]
    assert (found["cancelled"], found["async"], found["command"][0]) == ("cancelled", 3, 0)
    assert job["id"] in found["command"][1]
    assert found["faults"] == {
        "key": ["AuthenticationError", "unauthenticated"],
        "file": ["NotFoundError", "not_found"],
        "job": ["NotFoundError", "not_found"],
        "model": ["NotFoundError", "not_found"],
        "merged": ["BadRequestError", "invalid_request"],
    }


def test_an_order_whose_answer_got_lost_is_one_job_and_one_charge(buyer: Buyer, data: Path) -> None:
    with losing_proxy(buyer.broker.url) as proxy:
        job_id = run(buyer, proxy.url, "-c", ONE_JOB, data).split()[-1]
    with buyer.client as client:
        assert [each["id"] for each in client.get("/jobs")["data"]] == [job_id]
