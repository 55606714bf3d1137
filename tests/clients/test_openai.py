"""OpenAI's own clients, for Python and for Node, at `/openai/v1`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.broker.factories import jsonl
from tests.clients.conftest import FOLDER, Buyer
from tests.clients.losing_proxy import losing_proxy

HERE = Path(__file__).parent
PYTHON, NODE_MODULES = FOLDER / "openai/bin/python", FOLDER / "openai-node/node_modules"
ONE_JOB = """
import openai, sys
client = openai.OpenAI(base_url=sys.argv[1])
file = client.files.create(file=("train.jsonl", open(sys.argv[2], "rb").read()), purpose="fine-tune")
print(client.fine_tuning.jobs.create(model="smollm2-135m-instruct", training_file=file.id).id)
"""

with_python = pytest.mark.skipif(not PYTHON.exists(), reason="the openai package of Python is not installed here")
with_node = pytest.mark.skipif(not NODE_MODULES.exists(), reason="the openai package of Node is not installed here")


def run(buyer: Buyer, *command: str | Path, **environment: str) -> str:
    told = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": buyer.key, **environment}
    done = subprocess.run([*map(str, command)], env=told, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@with_python
def test_a_customer_of_openai_changes_an_address_and_nothing_else(buyer: Buyer) -> None:
    found = json.loads(run(buyer, PYTHON, HERE / "openai_walk.py", f"{buyer.broker.url}/openai/v1"))
    job = found["job"]
    assert (job["status"], job["error"], job["metadata"], job["seed"]) == ("succeeded", None, {"team": "search"}, 5)
    assert job["hyperparameters"] == {"n_epochs": 1, "batch_size": 4, "learning_rate_multiplier": 1.0}
    assert job["trained_tokens"] > 0
    assert job["finished_at"] >= job["created_at"]
    assert ":tea:" in job["fine_tuned_model"]
    assert found["model"] == job["fine_tuned_model"]
    assert found["model"] in found["models"]
    assert found["results"].startswith("step,train_loss,valid_loss")
    assert found["events"][-1].startswith("Submitted to queue")
    assert len(found["events"]) >= 4
    assert found["checkpoints"] == sorted(found["checkpoints"], reverse=True)
    assert (found["content"], found["files"], found["jobs"]) == (True, True, True)
    assert (found["cancelled"], found["async"]) == ("cancelled", 2)
    assert found["faults"] == {
        "key": ["AuthenticationError", None, "unauthenticated"],
        "file": ["NotFoundError", None, "not_found"],
        "purpose": ["BadRequestError", "purpose", "invalid_request"],
        "model": ["BadRequestError", "model", "invalid_training_config"],
        "method": ["BadRequestError", "method.type", "invalid_request"],
    }


@with_python
def test_an_order_whose_answer_got_lost_is_one_job_and_one_charge(buyer: Buyer, tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    data.write_bytes(jsonl())
    with losing_proxy(buyer.broker.url) as proxy:
        job_id = run(buyer, PYTHON, "-c", ONE_JOB, f"{proxy.url}/openai/v1", data).strip()
    assert [each["x-stainless-retry-count"] for each in proxy.posts] == ["0", "1", "0", "1"]
    with buyer.client as client:
        assert [each["id"] for each in client.get("/jobs")["data"]] == [job_id]
        assert len(client.get("/datasets")["data"]) == 1


@with_node
def test_the_client_of_node_sends_a_file_in_chunks_and_orders_a_job(buyer: Buyer, tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    data.write_bytes(jsonl())
    script = tmp_path / "walk.mjs"
    script.write_text((HERE / "openai_walk.mjs").read_text())
    (tmp_path / "node_modules").symlink_to(NODE_MODULES.resolve())
    found = json.loads(run(buyer, "node", script, f"{buyer.broker.url}/openai/v1", data))
    assert (found["file"]["filename"], found["file"]["bytes"]) == ("train.jsonl", len(jsonl()))
    assert found["jobs"] == [found["job"]["id"]]
    assert (found["cancelled"], found["fault"]) == ("cancelled", ["NotFoundError", "not_found"])
