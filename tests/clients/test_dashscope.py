"""DashScope's own package at `/dashscope`: both generations of its clients, and its command."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.broker.factories import jsonl
from tests.clients.conftest import FOLDER, Buyer
from tests.clients.losing_proxy import losing_proxy

HERE = Path(__file__).parent
PYTHON = FOLDER / "dashscope/bin/python"
ONE_JOB = """
import dashscope, os, sys
client = dashscope.Client(base_url=os.environ["DASHSCOPE_HTTP_BASE_URL"])
file = client.files.upload(file_path=sys.argv[1])
print(client.fine_tunes.create(model="smollm2-135m-instruct", training_file_ids=file.file_id).job_id)
"""

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="the dashscope package is not installed here")


def run(buyer: Buyer, address: str, *command: str | Path) -> str:
    told = {"DASHSCOPE_API_KEY": buyer.key, "DASHSCOPE_HTTP_BASE_URL": f"{address}/dashscope/api/v1"}
    told |= {"PATH": os.environ["PATH"], "HOME": str(FOLDER)}
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


def test_a_customer_of_dashscope_changes_an_address_and_nothing_else(buyer: Buyer, data: Path) -> None:
    found = json.loads(run(buyer, buyer.broker.url, HERE / "dashscope_walk.py", data))
    first, second = found["first"], found["second"]
    job = first["job"]
    assert (job["status"], job["model"], job["training_type"]) == (
        "SUCCEEDED",
        "smollm2-135m-instruct",
        "efficient_sft",
    )
    assert job["hyper_parameters"] | {"n_epochs": 1, "learning_rate": 1.6e-4, "lora_rank": 4} == job["hyper_parameters"]
    assert job["usage"] > 0
    assert job["finetuned_output"].startswith("ft:smollm2-135m-instruct:")
    assert (first["events"][0], first["events"][-1]) == ("submitted", "run_succeeded")
    assert first["messages"][0].startswith("Submitted to queue")
    assert first["lines"]["total"] == len(first["lines"]["logs"])
    assert first["cancelled"] == ["success", "CANCELED"]
    assert first["listed"] == [2, first["ids"]]
    assert (first["files"], first["file"]) == (True, True)
    assert first["refused"] == [
        400,
        "InvalidParameter",
        "training_type: is not trained here: efficient_sft is",
    ]
    assert (first["nowhere"], first["deleted"], first["wrong_key"]) == (
        "NotFound",
        "UnsupportedOperation",
        "InvalidApiKey",
    )
    assert first["zh"] == "没有这个作业：job_nope。"
    assert first["zh_own"] == "training_type：此处不提供该训练方式，请使用 efficient_sft"
    assert (second["job"]["status"], second["same_session"]) == ("SUCCEEDED", True)
    assert ":tea:" in second["job"]["finetuned_model"]
    assert second["job"]["lora"]["max_cost"]["amount"] == "3.00"
    assert second["events"] == "run_succeeded"
    assert second["model"] == "smollm2-135m-instruct"
    assert {second["model"], job["finetuned_output"], second["job"]["finetuned_model"]} <= set(second["models"])
    assert second["checkpoints"][0]["full_name"].startswith(f"{second['job']['job_id']}:checkpoint-")
    assert (second["deleted"], second["async"]) == (True, 4)
    assert second["faults"] == {
        "job": ["NotFoundError", "NotFound"],
        "file": ["NotFoundError", "NotFound"],
        "key": ["AuthenticationError", "InvalidApiKey"],
        "split": ["BadRequestError", "InvalidParameter"],
        "cost": ["APIStatusError", "MaxCostExceeded"],
    }
    assert f"job: {second['job']['job_id']}, status: SUCCEEDED" in found["command"].replace("\n", " ")


def test_an_order_whose_answer_got_lost_is_one_job_and_one_charge(buyer: Buyer, data: Path) -> None:
    with losing_proxy(buyer.broker.url) as proxy:
        job_id = run(buyer, proxy.url, "-c", ONE_JOB, data).strip()
    assert len(proxy.posts) == 4
    with buyer.client as client:
        assert [each["id"] for each in client.get("/jobs")["data"]] == [job_id]
        assert len(client.get("/datasets")["data"]) == 2  # a file that is sent again is another, which costs nothing
