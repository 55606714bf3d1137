"""Several processes on one database, each with a data directory of its own: whose runs are whose, and what ops sees.

One broker serves the API and runs nothing; workers come, are killed, stopped and cut off, each test in its own pool.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from broker.client.rest import Client
from tests.broker import places
from tests.broker.places import (
    QUICK,
    Place,
    agents_of,
    eventually,
    runs_of,
    submit,
    wait_for_pool,
    wait_for_status,
    wait_for_step,
)
from tests.broker.served import Buyer, ServedBroker, fake_trainer, make_buyer

pytestmark = pytest.mark.slow

LEASE_SECONDS = 4
place, client, buyer = places.place, places.client, places.buyer


@pytest.fixture(autouse=True)
def closed_afterwards(place: Place, client: Client) -> Iterator[None]:
    """End this test's workers and jobs, so that the next one's jobs find only its own pool."""
    yield
    for process in place.started[1:]:
        process.close()
    del place.started[1:]
    for job in client.list_all("/jobs"):
        if job["status"] not in {"succeeded", "failed", "cancelled"}:
            client.post(f"/jobs/{job['id']}/cancel")
    for pool in client.get("/pools")["data"]:
        client.http.patch(f"/v1/pools/{pool['name']}", json={"open": False})


def check_refused(process: ServedBroker, command: str, setting: str) -> None:
    """Check that a process that may not start says so in one line, with the setting, and exits with an error."""
    refused = process.run_cli(command, *(["--port", str(process.port)] if command == "serve" else []))
    (line,) = refused.stderr.splitlines()
    assert refused.returncode != 0
    assert line.startswith(f"broker: {setting}: ")


def test_second_process_on_a_pool_is_refused_and_the_first_ones_run_goes_on(
    place: Place, client: Client, buyer: Buyer
) -> None:
    """A past fault: it marked the healthy run lost within two seconds, and the job started on both."""
    first = place.worker("first", "taken")
    first.start()
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    check_refused(place.worker("second", "taken"), "worker", "BROKER_POOL")
    check_refused(place.worker("third", "taken"), "serve", "BROKER_POOL")
    reached = client.get(f"/jobs/{job_id}")["progress"]["step"]
    wait_for_step(client, job_id, reached + 5)
    (run,) = runs_of(client, job_id)
    assert run["status"] == "running"
    assert len(first.workers()) == 1


def test_process_with_another_secret_or_storage_is_refused(place: Place, client: Client) -> None:
    """A past fault: its runs were answered 401, and each job burnt five attempts in nine seconds."""
    check_refused(place.worker("a", "wrong", secret_key="another-secret-key"), "worker", "BROKER_SECRET_KEY")
    elsewhere = str(place.folder / "elsewhere")
    check_refused(place.worker("b", "wrong", storage_dir=elsewhere), "worker", "BROKER_STORAGE_DIR")
    check_refused(place.worker("c", "wrong", public_url="http://127.0.0.1:1"), "worker", "BROKER_PUBLIC_URL")
    assert agents_of(client, "wrong") == []


def test_workers_of_two_pools_leave_each_others_runs_alone(place: Place, client: Client, buyer: Buyer) -> None:
    workers = [place.worker(name, name) for name in ("left", "right")]
    for worker in workers:
        worker.start()
    for name in ("left", "right"):
        wait_for_pool(client, name, "open")
    jobs = [submit(client, buyer) for _ in range(2)]
    for job_id in jobs:
        wait_for_step(client, job_id, 20)
    runs = [run for job_id in jobs for run in runs_of(client, job_id)]
    assert {(run["pool"], run["status"]) for run in runs} == {("left", "running"), ("right", "running")}


def test_killed_worker_closes_its_pool_and_another_takes_it(place: Place, client: Client, buyer: Buyer) -> None:
    """A past fault: jobs went to the dead worker's pool, were lost after a lease, and its device stayed taken."""
    dead = place.worker("dead", "mortal")
    dead.start()
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    dead.close()  # with its training process: the machine is off
    pool = wait_for_pool(client, "mortal", "silent")
    assert pool["state_reason"].startswith("Pool mortal is not served: its agent has been silent since ")
    job = wait_for_status(client, job_id, "queued")
    told = eventually(lambda: client.get(f"/jobs/{job_id}")["pending_reason"], "a reason")
    assert told["code"] == "no_open_pool"
    assert pool["state_reason"] in told["message"]
    (agent,) = agents_of(client, "mortal")
    assert (agent["state"], agent["gpus"], job["attempts"]) == ("silent", 1, 1)
    heir = place.worker("heir", "mortal", fake_trainer(**QUICK))
    heir.start()
    wait_for_status(client, job_id, "succeeded")
    assert [run["status"] for run in runs_of(client, job_id)] == ["lost", "succeeded"]


def test_killed_worker_finds_its_runs_again_when_it_is_back(place: Place, client: Client, buyer: Buyer) -> None:
    worker = place.worker("phoenix", "phoenix", fake_trainer(beats=40, pause=0.1, save=4))
    worker.start()
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    worker.kill()
    worker.start()
    assert wait_for_status(client, job_id, "succeeded", "failed")["attempts"] == 1
    assert [agent["state"] for agent in agents_of(client, "phoenix")] == ["live"]


def test_worker_that_stood_still_for_longer_than_its_lease_keeps_its_run(
    place: Place, client: Client, buyer: Buyer
) -> None:
    """Its training process went on and reported: nobody may call that run gone."""
    worker = place.worker("sleeper", "sleepy")
    worker.start()
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    worker.first_process().suspend()
    wait_for_pool(client, "sleepy", "silent")
    worker.first_process().resume()
    wait_for_pool(client, "sleepy", "open")
    reached = client.get(f"/jobs/{job_id}")["progress"]["step"]
    wait_for_step(client, job_id, reached + 5)
    assert [run["status"] for run in runs_of(client, job_id)] == ["running"]


def test_worker_that_lost_its_pool_while_it_stood_still_stops_its_run(
    place: Place, client: Client, buyer: Buyer
) -> None:
    """Its successor on the same machine gets the device only then: it is never given away twice."""
    worker = place.worker("loser", "contested")
    worker.start()
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    (process,) = worker.workers()
    worker.first_process().suspend()
    wait_for_pool(client, "contested", "silent")
    heir = place.worker("winner", "contested", fake_trainer(**QUICK))
    heir.start()
    wait_for_pool(client, "contested", "open")
    reached = client.get(f"/jobs/{job_id}")["progress"]["step"]
    wait_for_step(client, job_id, reached + 5)
    assert heir.workers() == []
    worker.first_process().resume()
    eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "its run stopped")
    wait_for_status(client, job_id, "succeeded")
    assert [run["status"] for run in runs_of(client, job_id)] == ["preempted", "succeeded"]
    assert worker.first_process().is_running()


def test_worker_that_leaves_lets_its_runs_save_and_closes_its_pool_at_once(
    place: Place, client: Client, buyer: Buyer
) -> None:
    worker = place.worker("leaver", "left-behind")
    worker.start()
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    assert worker.terminate() == 0
    assert worker.workers() == []
    pool = next(pool for pool in client.get("/pools")["data"] if pool["name"] == "left-behind")
    assert (pool["state"], agents_of(client, "left-behind")[0]["state"]) == ("unserved", "gone")
    (run,) = runs_of(client, job_id)
    assert run["status"] == "preempted"
    saved = [checkpoint["step"] for checkpoint in client.get(f"/jobs/{job_id}/checkpoints")["data"]]
    place.worker("follower", "left-behind", fake_trainer(beats=max(saved) + 3, pause=0.05, save=4)).start()
    wait_for_status(client, job_id, "succeeded")


@pytest.mark.parametrize("command", ["/no/such/trainer", "false"])
def test_machine_that_cannot_start_runs_burns_no_attempt(
    command: str, place: Place, client: Client, buyer: Buyer
) -> None:
    """A past fault: each job's five attempts were gone in nine seconds. `false` ends before it claims its run."""
    name = f"broken-{command.strip('/').replace('/', '-')}"
    broken = place.worker(name, name, command, max_attempts="1")
    broken.start()
    job_id = submit(client, buyer)
    pool = eventually(
        lambda: next((p for p in client.get("/pools")["data"] if p["name"] == name and p["failed_starts"] >= 2), None),
        "two failed starts",
    )
    assert pool["last_failure"]
    job = wait_for_status(client, job_id, "queued")
    assert job["attempts"] == len(runs_of(client, job_id)) <= 3
    broken.close()
    place.worker("sound", f"{name}-sound", fake_trainer(**QUICK)).start()
    wait_for_status(client, job_id, "succeeded")


def test_each_run_sees_a_device_of_its_own(place: Place, client: Client, tmp_path: Path) -> None:
    """A past fault: two runs on a machine with two GPUs shared the first one."""
    worker = place.worker("pair", "pair", local_slots="2", gpu_type="rtx-3090")
    environment = {"CUDA_VISIBLE_DEVICES": "GPU-aaaa,GPU-bbbb"}
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in environment.items():
            patched.setenv(variable, value)
        worker.start()
    wait_for_pool(client, "pair", "open")
    buyer = make_buyer(client, tmp_path)  # the quote is for the GPU type that there is now
    jobs = [submit(client, buyer) for _ in range(2)]
    for job_id in jobs:
        wait_for_step(client, job_id, 2)
    assert visible_devices(worker) == ["GPU-aaaa", "GPU-bbbb"]
    client.post(f"/jobs/{jobs[0]}/cancel")
    wait_for_status(client, jobs[0], "cancelled")
    third = submit(client, buyer)
    wait_for_step(client, third, 2)
    assert visible_devices(worker) == ["GPU-aaaa", "GPU-bbbb"]


def visible_devices(worker: ServedBroker) -> list[str]:
    return sorted(process.environ()["CUDA_VISIBLE_DEVICES"] for process in worker.workers())


def test_worker_that_cannot_reach_the_database_stops_its_runs(place: Place, client: Client, buyer: Buyer) -> None:
    """Otherwise its device could be given away while its run still has it."""
    worker = place.worker("cut-off", "cut-off")
    worker.start()
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    (process,) = worker.workers()
    with cut_off_database(place):
        eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "its run stopped")
    wait_for_pool(client, "cut-off", "open")
    wait_for_step(client, job_id, client.get(f"/jobs/{job_id}")["progress"]["step"] + 2)
    assert [run["status"] for run in runs_of(client, job_id)][-1] == "running"
    assert len(worker.workers()) == 1


def cut_off_database(place: Place) -> Any:
    """Let nobody connect to the database, and end all connections, for as long as the block lasts."""
    return DatabaseAway(str(place.urls.owner))


class DatabaseAway:
    def __init__(self, owner_url: str) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(owner_url)
        self.name = str(parts["dbname"])
        self.url = psycopg.conninfo.make_conninfo(owner_url, dbname="postgres")

    def __enter__(self) -> None:
        self._allow(allowed=False)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.name])

    def __exit__(self, *_: object) -> None:
        self._allow(allowed=True)

    def _allow(self, *, allowed: bool) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS {allowed}".encode())
