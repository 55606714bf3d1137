"""Base models of an operator, the whole way: added by their folder, quoted, trained by a worker, an adapter made."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.client.errors import ApiError
from broker.client.rest import Client
from tests.broker.forked_trainer import forked_trainer
from tests.broker.served import Buyer, ServedBroker, follow_job, make_buyer
from tests.broker.tiny_models import add_tiny
from tests.conftest import FolderMaker

pytestmark = pytest.mark.slow

CONFIG = {"epochs": 2, "batch_size": 4, "max_length": 96}


@pytest.fixture(scope="module")
def folder(server_folders: FolderMaker) -> Iterator[Path]:
    with server_folders() as folder:
        yield folder


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[ServedBroker]:
    served = ServedBroker(folder / "var", {"heartbeat_seconds": "0.5", "trainer_command": forked_trainer()})
    served.start()
    yield served
    served.close()


@pytest.fixture
def client(broker: ServedBroker) -> Iterator[Client]:
    with Client(broker.url, broker.admin_key()) as client:
        yield client


@pytest.fixture
def buyer(client: Client, folder: Path) -> Buyer:
    return make_buyer(client, folder)


@pytest.mark.parametrize(
    ("kind", "name", "targets"),
    [
        ("llama", "our-llama", ["q_proj", "v_proj"]),
        ("chatglm", "our-chatglm", None),
        ("chatglm", "chatglm3-6b", ["query_key_value"]),
    ],
)
def test_added_model_is_quoted_trained_and_billed_for_the_tokens_quoted(
    broker: ServedBroker, client: Client, buyer: Buyer, folder: Path, kind: str, name: str, targets: Any
) -> None:
    config = {**CONFIG, "base_model": name, "target_modules": targets}
    with pytest.raises(ApiError) as refused:
        client.post("/quotes", {"config": config, "dataset_id": buyer.dataset_id})
    assert "on offer" in str(refused.value)
    added = add_tiny(broker, kind, folder / name)
    assert (added["name"], added["can_be_quoted"]) == (name, True)
    quote = client.post("/quotes", {"config": config, "dataset_id": buyer.dataset_id})
    job = client.post("/jobs", buyer.order(config=config, quote_id=quote["id"]))
    done = follow_job(client, job["id"])
    assert done["status"] == "succeeded", done["error"]
    assert done["used_tokens"] == quote["estimate"]["tokens"]
    (adapter,) = [one for one in client.get("/adapters")["data"] if one["job_id"] == job["id"]]
    assert adapter["base_model"] == name
    assert adapter["size_bytes"] > 1000


def test_files_that_were_changed_since_are_refused_by_the_worker(
    broker: ServedBroker, client: Client, buyer: Buyer, folder: Path
) -> None:
    add_tiny(broker, "llama", folder / "changed-llama")
    place = broker.data_dir / "models" / "changed-llama"
    assert place.is_dir()
    settings = json.loads((place / "tokenizer_config.json").read_text())
    (place / "tokenizer_config.json").unlink()  # the file may be a link to the operator's own
    (place / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": "{{ messages }}"}))
    order = buyer.order(config={**CONFIG, "base_model": "changed-llama"})
    done = follow_job(client, client.post("/jobs", order)["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "base_model_missing")


def test_model_is_removed_once_no_job_needs_it_and_its_name_is_free_again(
    broker: ServedBroker, client: Client, buyer: Buyer, folder: Path
) -> None:
    first = add_tiny(broker, "llama", folder / "passing")
    again = add_tiny(broker, "llama", folder / "passing")
    assert again["sha256"] == first["sha256"], "the same files again change nothing"
    config = {**CONFIG, "base_model": "passing", "epochs": 500}
    job = client.post("/jobs", buyer.order(config=config))
    kept = broker.run_cli("models", "remove", "passing")
    assert kept.returncode == 2
    assert job["id"] in kept.stderr
    client.post(f"/jobs/{job['id']}/cancel")
    follow_job(client, job["id"])
    removed = broker.run_cli("models", "remove", "passing")
    assert removed.returncode == 0, removed.stderr
    listed = broker.run_cli("models", "list")
    assert "passing" not in listed.stdout
    assert "smollm2-135m-instruct" in listed.stdout
    shutil.rmtree(broker.data_dir / "models" / "passing")
    shutil.rmtree(folder / "passing")
    other = add_tiny(broker, "chatglm", folder / "passing")
    assert other["sha256"] != first["sha256"]


def test_folder_that_holds_no_model_is_one_line(broker: ServedBroker, folder: Path) -> None:
    (folder / "empty").mkdir()
    refused = broker.run_cli("models", "add", str(folder / "empty"))
    assert refused.returncode == 2
    assert "model_index.json" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert broker.run_cli("models", "add", str(folder / "nowhere")).returncode == 2
