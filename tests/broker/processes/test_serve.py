"""`broker serve` as a process: training processes that die, brokers that are killed, databases that vanish."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest

from broker.client.rest import Client
from broker.reports.verify import verify_database
from tests.broker.database_folder import copy_database_folder
from tests.broker.served import Buyer, ServedBroker, fake_trainer, make_buyer
from tests.conftest import FolderMaker

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 120
LEASE_SECONDS = 3
QUICK = {"beats": 12, "pause": 0.05, "save": 4}
ENDLESS = {"beats": 100_000, "pause": 0.05, "save": 4}


@pytest.fixture(scope="module")
def folder(server_folders: FolderMaker) -> Iterator[Path]:
    with server_folders() as folder:
        yield folder


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[ServedBroker]:
    """One broker for all tests of this module; each leaves it running and idle."""
    settings = {
        "trainer_command": fake_trainer(file=folder / "options.json"),
        "local_slots": "2",
        "heartbeat_seconds": "0.2",
        "lease_seconds": str(LEASE_SECONDS),
        "sweep_seconds": "0.5",
        "stop_grace_seconds": "1",
    }
    served = ServedBroker(folder / "var", settings)
    served.start()
    yield served
    served.close()


@pytest.fixture(scope="module")
def client(broker: ServedBroker) -> Iterator[Client]:
    with Client(broker.url, broker.admin_key()) as client:
        yield client


@pytest.fixture(scope="module")
def buyer(client: Client, folder: Path) -> Buyer:
    return make_buyer(client, folder, plan="prepaid")


@pytest.fixture
def train_like(folder: Path) -> Callable[[dict[str, float]], None]:
    """Set how the training processes started from now on behave."""

    def write(options: dict[str, float]) -> None:
        (folder / "options.json").write_text(json.dumps(options))

    return write


def eventually(ask: Callable[[], Any], what: str) -> Any:
    """Ask until an answer is not empty, and return it; fail the test at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.05)
    pytest.fail(f"never: {what}")


def submit(client: Client, buyer: Buyer) -> str:
    return str(client.post("/jobs", buyer.order())["id"])


def wait_for_status(client: Client, job_id: str, *wanted: str) -> Any:
    def ask() -> Any:
        job = client.get(f"/jobs/{job_id}")
        return job if job["status"] in wanted else None

    return eventually(ask, f"{job_id} {wanted}")


def wait_for_step(client: Client, job_id: str, step: int) -> Any:
    def ask() -> Any:
        job = client.get(f"/jobs/{job_id}")
        return job if job["progress"] and job["progress"]["step"] >= step else None

    return eventually(ask, f"{job_id} at step {step}")


def runs_of(client: Client, job_id: str) -> list[Any]:
    return list(client.get(f"/jobs/{job_id}/runs")["data"])


def started_at_steps(broker: ServedBroker, client: Client, job_id: str) -> list[int]:
    """List the step from which each attempt went on, as its process noted it."""
    notes = [broker.data_dir / "runs" / run["id"] / "work" / "started.jsonl" for run in runs_of(client, job_id)]
    return [json.loads(note.read_text())["first"] for note in notes if note.exists()]


def check_books(broker: ServedBroker, client: Client, buyer: Buyer) -> None:
    """Nothing is held any more, and every rule of the ledger holds."""
    balance = client.get(f"/contracts/{buyer.contract_id}/balance")
    assert (balance["held_gpu_seconds"], balance["held_tokens"]) == (0, 0)
    results = asyncio.run(verify_database(broker.database_url()))
    assert {result.rule: result.broken for result in results if result.broken} == {}


def wait_until_idle(broker: ServedBroker) -> None:
    eventually(lambda: not broker.workers(), "no training process left")


def test_killed_training_process_is_noticed_and_its_job_goes_on_from_the_last_checkpoint(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    train_like(ENDLESS)
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 6)
    train_like(QUICK)
    (process,) = broker.workers()
    process.kill()
    job = wait_for_status(client, job_id, "succeeded")
    first, second = runs_of(client, job_id)
    assert (first["status"], second["status"], job["attempts"]) == ("lost", "succeeded", 2)
    saved = [checkpoint["step"] for checkpoint in client.get(f"/jobs/{job_id}/checkpoints")["data"]]
    resumed = started_at_steps(broker, client, job_id)[1]
    assert resumed >= 4
    assert resumed in saved
    usage = client.get(f"/jobs/{job_id}/usage")
    assert {interval["run_id"] for interval in usage["data"]} == {first["id"], second["id"]}
    assert usage["gpu_seconds"] == job["used_gpu_seconds"]
    check_books(broker, client, buyer)


def test_silent_run_is_lost_ended_and_replaced(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    train_like({"silent": 1, "ignore": 1})
    job_id = submit(client, buyer)
    wait_for_status(client, job_id, "running")
    (silent,) = broker.workers()
    train_like(QUICK)
    job = wait_for_status(client, job_id, "succeeded")
    assert [run["status"] for run in runs_of(client, job_id)] == ["lost", "succeeded"]
    assert job["attempts"] == 2
    eventually(lambda: not silent.is_running() or silent.status() == psutil.STATUS_ZOMBIE, "the silent process ended")
    check_books(broker, client, buyer)


def test_run_that_does_not_listen_is_ended_by_force(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    train_like(ENDLESS | {"ignore": 1})
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    client.post(f"/jobs/{job_id}/cancel")
    job = wait_for_status(client, job_id, "cancelled")
    wait_until_idle(broker)
    assert job["used_gpu_seconds"] == client.get(f"/jobs/{job_id}/usage")["gpu_seconds"]
    check_books(broker, client, buyer)


def test_paused_run_saves_and_goes_on_later(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    train_like(ENDLESS)
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    client.post(f"/jobs/{job_id}/pause")
    wait_for_status(client, job_id, "paused")
    reached = client.get(f"/jobs/{job_id}")["progress"]["step"]
    train_like({**QUICK, "beats": reached + 5})
    client.post(f"/jobs/{job_id}/resume")
    wait_for_status(client, job_id, "succeeded")
    assert started_at_steps(broker, client, job_id)[1] == reached
    check_books(broker, client, buyer)


def test_trainer_that_fails_ends_its_job_at_once(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    train_like({**QUICK, "exit": 1})
    job = wait_for_status(client, submit(client, buyer), "failed")
    assert (job["attempts"], job["error"]["code"]) == (1, "out_of_memory")
    check_books(broker, client, buyer)


def test_killed_broker_adopts_the_run_that_went_on_without_it(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    """The lease is over when it is back, and the run has spooled all that it did."""
    train_like({**QUICK, "beats": 30})
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 3)
    broker.kill()
    time.sleep(LEASE_SECONDS + 0.5)
    broker.start()
    job = wait_for_status(client, job_id, "succeeded", "failed")
    assert (job["status"], job["attempts"]) == ("succeeded", 1)
    assert len(client.get(f"/jobs/{job_id}/usage")["data"]) == 30
    check_books(broker, client, buyer)


def test_sigterm_lets_the_run_save_and_the_next_broker_goes_on_with_it(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    """Uvicorn raised the signal again, and the process died before it had stopped its database."""
    train_like(ENDLESS)
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 3)
    assert broker.terminate() == 0
    assert broker.postmaster() is None
    assert broker.workers() == []
    train_like(QUICK)
    broker.start()
    wait_for_status(client, job_id, "succeeded", "failed")
    assert [run["status"] for run in runs_of(client, job_id)] == ["preempted", "succeeded"]
    assert started_at_steps(broker, client, job_id)[1] >= 3
    check_books(broker, client, buyer)


def test_killed_database_is_started_again_and_nothing_is_lost(
    broker: ServedBroker, client: Client, buyer: Buyer, train_like: Callable[[dict[str, float]], None]
) -> None:
    train_like({**QUICK, "beats": 30})
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 3)
    killed = broker.postmaster()
    broker.kill_database()

    def is_back() -> bool:
        answer = httpx.get(f"{broker.url}/readyz", timeout=10)
        return answer.is_success and broker.postmaster() not in {None, killed}

    eventually(is_back, "the database back")
    job = wait_for_status(client, job_id, "succeeded", "failed")
    assert (job["status"], job["attempts"]) == ("succeeded", 1)
    check_books(broker, client, buyer)


def test_two_brokers_share_one_data_directory(broker: ServedBroker, client: Client) -> None:
    beside = ServedBroker(broker.data_dir, broker.settings)
    beside.start()
    with Client(beside.url, beside.admin_key()) as other:
        assert other.get("/jobs")["data"] == client.get("/jobs")["data"]
    assert beside.terminate() == 0
    assert client.get("/jobs")["data"]
    assert broker.postmaster() is not None


def test_last_broker_to_leave_stops_the_database_whoever_was_killed_before(broker: ServedBroker) -> None:
    beside = ServedBroker(broker.data_dir, broker.settings)
    beside.start()
    beside.kill()
    broker.kill()
    broker.start()
    assert broker.terminate() == 0
    assert broker.postmaster() is None
    broker.start()


def test_port_in_use_is_one_line(broker: ServedBroker) -> None:
    started = broker.run_cli("serve", "--port", str(broker.port))
    assert started.returncode == 1
    (line,) = started.stderr.splitlines()
    assert line.startswith(f"broker: cannot listen on 127.0.0.1:{broker.port}: ")


def test_worker_without_slots_is_one_line(broker: ServedBroker) -> None:
    idle = ServedBroker(broker.data_dir, {"local_slots": "0"})
    started = idle.run_cli("worker")
    assert started.returncode == 1
    assert started.stderr.splitlines() == ["broker: BROKER_LOCAL_SLOTS is 0: this worker would run nothing"]


@pytest.mark.parametrize(("number", "is_there"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_signal_while_it_starts_leaves_no_database_behind(
    number: signal.Signals, is_there: bool, server_folder: Path
) -> None:
    """Once while it makes its tables, once where they are there."""
    starting = ServedBroker(server_folder / "var", from_nothing=True)
    if is_there:
        copy_database_folder(starting.data_dir)
    starting.start(wait=False)
    try:
        eventually(starting.postmaster, "its database runs")
        assert starting.process is not None
        os.kill(starting.process.pid, number)
        starting.process.wait(DEADLINE_SECONDS)
        assert starting.postmaster() is None
    finally:
        starting.close()


def test_what_the_broker_writes_is_its_owners_alone(broker: ServedBroker, buyer: Buyer) -> None:
    """A past fault: data sets and the folders of runs could be read by every user of the machine."""
    written = [path for path in broker.data_dir.rglob("*") if "postgres" not in path.parts]
    assert any(path.is_relative_to(broker.data_dir / "objects") and path.is_file() for path in written)
    assert [path for path in written if path.lstat().st_mode & 0o077 and not path.is_symlink()] == []
