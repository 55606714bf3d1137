"""`log_to`: MLflow's own server, and the packages of Weights & Biases and SwanLab without a network."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from broker.client.rest import Client
from tests.broker.factories import CONFIG
from tests.broker.served import Buyer, ServedBroker, follow_job, free_port, make_buyer
from tests.clients.conftest import FOLDER
from tests.clients.tracker_servers import Handler, Swanlab, Wandb, serving
from trainer.protocol.assigned_tracker import list_variables
from trainer.protocol.client import TrackerAccess

HERE = Path(__file__).parent
BIN = FOLDER / "trackers/bin"
START_SECONDS = 180
LOSSES = [2.9, 2.8, 2.7, 2.6, 2.5]
KEYS = {"wandb": "0123456789abcdef" * 2 + "01234567", "swanlab": "fedcba98765432100123"}
ENDS = {
    "wandb": {"done": 0, "failed": 1, "stopped": 255},
    "swanlab": {"done": "FINISHED", "failed": "CRASHED", "stopped": "ABORTED"},
}

pytestmark = pytest.mark.skipif(not (BIN / "mlflow").exists(), reason="the trackers' packages are not installed here")


def tell(name: str, folder: Path, how: str = "done", **environment: str) -> str:
    """Tell a tracker of a run that ends so; returns what the trainer said of it."""
    told = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(HERE.parents[1]), **environment}
    command = [str(BIN / "python"), str(HERE / "tracker_walk.py"), name, str(folder), how]
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=180, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/health", timeout=5).is_success:
                break
        time.sleep(0.2)
    yield address
    os.killpg(process.pid, 15)
    process.wait(60)


def test_mlflow_has_the_losses_by_step_and_the_configuration(mlflow_server: str, tmp_path: Path) -> None:
    said = tell("mlflow", tmp_path, MLFLOW_TRACKING_URI=mlflow_server, MLFLOW_EXPERIMENT_NAME="tea")
    assert "training goes on" not in said
    assert "left alone" not in said
    api = f"{mlflow_server}/api/2.0/mlflow"
    found = httpx.get(f"{api}/experiments/get-by-name", params={"experiment_name": "tea"}, timeout=30).json()
    experiment = found["experiment"]["experiment_id"]
    runs = httpx.post(f"{api}/runs/search", json={"experiment_ids": [experiment]}, timeout=30).json()["runs"]
    (run,) = runs
    assert (run["info"]["run_name"], run["info"]["status"]) == ("tea", "FINISHED")
    assert {each["key"]: each["value"] for each in run["data"]["params"]} == {"lora_rank": "8", "epochs": "1"}
    asked = {"run_id": run["info"]["run_id"], "metric_key": "train/loss"}
    history = httpx.get(f"{api}/metrics/get-history", params=asked, timeout=30).json()["metrics"]
    assert [(each["step"], each["value"]) for each in history] == list(enumerate(LOSSES, start=1))


def test_a_tracker_that_is_away_or_refuses_is_named_and_harms_nothing(tmp_path: Path) -> None:
    nobody = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    assert "mlflow is told nothing more" in tell("mlflow", tmp_path, **nobody)


def test_weights_and_biases_keeps_the_losses(tmp_path: Path) -> None:
    assert tell("wandb", tmp_path, WANDB_MODE="offline") == ""
    (kept,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = kept.read_bytes()
    assert b"train/loss" in content
    assert all(str(loss).encode() in content for loss in LOSSES)
    assert str(tmp_path).encode() not in content


def test_swanlab_keeps_a_run(tmp_path: Path) -> None:
    assert "told nothing more" not in tell("swanlab", tmp_path, SWANLAB_MODE="offline")
    kept = b"".join(path.read_bytes() for path in (tmp_path / "swanlog").rglob("*") if path.is_file())
    assert b"train/loss" in kept
    assert b"lora_rank" in kept


@pytest.mark.parametrize(("name", "kind"), [("wandb", Wandb), ("swanlab", Swanlab)])
def test_a_server_of_ones_own_is_told_the_losses_and_how_the_training_ended(
    name: str, kind: type[Handler], tmp_path: Path
) -> None:
    """Servers in the form of theirs, told by the real packages under the variables that a run of the broker sets."""
    for how, end in ENDS[name].items():
        with serving(kind) as told:
            access = TrackerAccess(secret="team", kind=name, key=KEYS[name], url=told.url, project="styles")
            assert "told nothing more" not in tell(name, tmp_path, how, **list_variables(access))
        assert told.ends == {"tea": end}, how
        assert told.losses == {"tea": dict(enumerate(LOSSES, start=1))}
        assert told.projects == {"styles"}
    assert KEYS["swanlab"] in told.authorizations or name == "wandb"


@dataclass(frozen=True)
class Ran:
    """A job whose runs told a tracker, and the lines of its log."""

    job: dict[str, Any]
    lines: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Buyer]]:
    """Serve a broker that really trains, with the trackers' packages where its trainer runs."""
    folder = tmp_path_factory.mktemp("kept")
    (packages,) = (BIN.parent / "lib").glob("python*/site-packages")
    command = shlex.join([sys.executable, str(HERE / "tracker_trainer.py"), str(packages)])
    settings = {"trainer_command": command, "heartbeat_seconds": "0.5", "webhook_networks": "127.0.0.1/32"}
    broker = ServedBroker(folder / "data", {**settings, "local_slots": "1"})
    broker.start()
    with Client(broker.url, broker.admin_key()) as client:
        yield client, make_buyer(client, folder)
    broker.close()


def train(client: Client, buyer: Buyer, secret: str, *, cancel: bool = False, **config: Any) -> Ran:
    """Have a job train that tells the tracker of a secret; cancelled, where it is to be, once steps were done."""
    order = {"config": {**CONFIG, **config}, "dataset_id": buyer.dataset_id, "customer_id": buyer.customer_id}
    job = client.post("/jobs", {**order, "tracker": {"secret": secret, "project": "styles"}})
    while cancel and not (client.get(f"/jobs/{job['id']}")["progress"] or {}).get("step"):
        time.sleep(0.2)
    if cancel:
        client.post(f"/jobs/{job['id']}/cancel")
    ended = follow_job(client, job["id"])
    return Ran(ended, "\n".join(each["text"] for each in client.get(f"/jobs/{job['id']}/logs")["data"]))


def keep_secret(client: Client, buyer: Buyer, kind: str, url: str) -> None:
    secret = {"customer_id": buyer.customer_id, "name": kind, "kind": kind, "key": KEYS[kind], "url": url}
    client.post("/secrets", secret)


def test_weights_and_biases_is_told_through_the_broker_and_ends_as_the_training_did(kept: tuple[Client, Buyer]) -> None:
    client, buyer = kept
    with serving(Wandb) as told:
        keep_secret(client, buyer, "wandb", told.url)
        done = train(client, buyer, "wandb")
        failed = train(client, buyer, "wandb", seed=13, batch_size=1)
        cancelled = train(client, buyer, "wandb", cancel=True, epochs=1000)
    statuses = [each.job["status"] for each in (done, failed, cancelled)]
    assert statuses == ["succeeded", "failed", "cancelled"], [each.lines for each in (done, failed, cancelled)]
    names = [f"{each.job['id']}-1" for each in (done, failed, cancelled)]
    assert told.ends == dict(zip(names, [0, 1, 255], strict=True)), done.lines
    assert told.losses[names[0]].keys() == set(range(1, done.job["progress"]["total_steps"] + 1))
    assert told.summaries[names[1]]["error"].startswith("the loss of step 2 is nan")
    assert told.projects == {"styles"}
    assert KEYS["wandb"] not in done.lines + failed.lines + cancelled.lines


def test_swanlab_is_told_through_the_broker_and_ends_as_the_training_did(kept: tuple[Client, Buyer]) -> None:
    client, buyer = kept
    with serving(Swanlab) as told:
        keep_secret(client, buyer, "swanlab", told.url)
        done = train(client, buyer, "swanlab")
        failed = train(client, buyer, "swanlab", seed=13, batch_size=1)
        cancelled = train(client, buyer, "swanlab", cancel=True, epochs=1000)
    names = [f"{each.job['id']}-1" for each in (done, failed, cancelled)]
    assert told.ends == dict(zip(names, ["FINISHED", "CRASHED", "ABORTED"], strict=True)), done.lines
    assert told.losses[names[0]].keys() == set(range(1, done.job["progress"]["total_steps"] + 1))
    assert (told.projects, told.authorizations) == ({"styles"}, {KEYS["swanlab"]})
