"""Jobs of a real broker on each engine: adopted, handed over, taken back, and none the worse for a broker that is away.

One broker serves the API and runs nothing; the agent of each pool is a `broker worker` of its own.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from broker.client.rest import Client
from tests.broker.places import (
    ENDLESS,
    Place,
    WorkerProcess,
    eventually,
    runs_of,
    submit,
    wait_for_pool,
    wait_for_status,
    wait_for_step,
)
from tests.broker.served import Buyer, ServedBroker, fake_trainer
from tests.engines.ray_cluster import RayCluster
from tests.engines.slurm_cluster import SlurmCluster

ENGINES = ["local", "slurm", "ray"]
LEASE_SECONDS = 20  # of `place`: a loaded machine may be silent for longer than the broker's own tests allow


@dataclass
class Pool:
    """A pool of one engine, with the settings that its worker needs."""

    place: Place
    name: str
    settings: dict[str, str]
    cluster: SlurmCluster | RayCluster | None

    def worker(self, **options: float) -> WorkerProcess:
        """Make the worker of the pool, not yet started, whose runs beat as told."""
        trainer = fake_trainer(**(ENDLESS | options))
        return self.place.worker(self.name, self.name, trainer, local_slots="4", **self.settings)


@pytest.fixture(params=ENGINES)
def pool(request: pytest.FixtureRequest, place: Place, client: Client) -> Iterator[Pool]:
    """Each engine in its turn, in a pool of its own for each test; afterwards nothing runs or waits any more."""
    engine = request.param
    settings = {"engine": engine, "engine_answer_seconds": "20"}
    cluster = None if engine == "local" else request.getfixturevalue(engine)
    if engine == "ray":
        settings["ray_address"] = cluster.address
    number = len(client.get("/pools")["data"])
    yield Pool(place, f"{engine}-{number}", settings, cluster)
    if cluster is not None:
        cluster.bring_back()
    for job in client.list_all("/jobs"):
        if job["status"] not in {"succeeded", "failed", "cancelled"}:
            client.post(f"/jobs/{job['id']}/cancel")
            wait_for_status(client, job["id"], "cancelled")
    for process in place.started[1:]:
        process.close()
    del place.started[1:]
    for found in client.get("/pools")["data"]:
        client.http.patch(f"/v1/pools/{found['name']}", json={"open": False})


def start_run(client: Client, buyer: Buyer, worker: ServedBroker, pool: Pool) -> str:
    """Start the worker and have a job train on it; returns the job."""
    worker.start()
    wait_for_pool(client, pool.name, "open")
    job_id = submit(client, buyer)
    wait_for_step(client, job_id, 2)
    return job_id


def statuses_of(client: Client, job_id: str) -> list[tuple[str, str]]:
    return [(run["pool"], run["status"]) for run in runs_of(client, job_id)]


def test_job_trains_to_its_end_and_is_adopted_by_a_worker_that_was_killed_in_between(
    client: Client, buyer: Buyer, pool: Pool
) -> None:
    worker = pool.worker(beats=150, pause=0.1)
    job_id = start_run(client, buyer, worker, pool)
    [trainer] = worker.workers()
    assert trainer.environ()["CUDA_VISIBLE_DEVICES"] != ""
    worker.kill()
    worker.start()
    assert wait_for_status(client, job_id, "succeeded", "failed")["status"] == "succeeded"
    assert statuses_of(client, job_id) == [(pool.name, "succeeded")]


def test_run_of_a_worker_that_leaves_saves_and_goes_on_in_another_pool(
    place: Place, client: Client, buyer: Buyer, pool: Pool
) -> None:
    worker = pool.worker()
    job_id = start_run(client, buyer, worker, pool)
    assert worker.terminate() == 0
    assert worker.workers() == []
    saved = [checkpoint["step"] for checkpoint in client.get(f"/jobs/{job_id}/checkpoints")["data"]]
    heir = f"{pool.name}-heir"
    place.worker(heir, heir, fake_trainer(beats=max(saved) + 3, pause=0.05, save=4)).start()
    wait_for_status(client, job_id, "succeeded")
    assert statuses_of(client, job_id) == [(pool.name, "preempted"), (heir, "succeeded")]


def test_broker_that_is_away_for_longer_than_a_lease_costs_its_runs_nothing(
    place: Place, client: Client, buyer: Buyer, pool: Pool, away_seconds: float
) -> None:
    job_id = start_run(client, buyer, pool.worker(), pool)
    reached = client.get(f"/jobs/{job_id}")["progress"]["step"]
    hub = place.hub.first_process()
    hub.suspend()
    time.sleep(max(1.5 * LEASE_SECONDS, away_seconds))
    hub.resume()
    wait_for_step(client, job_id, reached + 5)
    assert statuses_of(client, job_id) == [(pool.name, "running")]


def test_cluster_that_is_away_costs_its_runs_nothing_and_new_jobs_wait_for_it(
    client: Client, buyer: Buyer, pool: Pool, away_seconds: float
) -> None:
    if pool.cluster is None:
        pytest.skip("a machine has no server that could be away")
    job_id = start_run(client, buyer, pool.worker(), pool)
    pool.cluster.take_away()
    wait_for_pool(client, pool.name, "nodes_closed")
    waiting = submit(client, buyer)
    reached = client.get(f"/jobs/{job_id}")["progress"]["step"]
    time.sleep(away_seconds)
    wait_for_step(client, job_id, reached + 5)
    assert client.get(f"/jobs/{waiting}")["status"] == "queued"
    pool.cluster.bring_back()
    wait_for_step(client, waiting, 2)
    assert statuses_of(client, job_id) == [(pool.name, "running")]
    assert statuses_of(client, waiting) == [(pool.name, "running")]


def test_worker_that_starts_while_its_cluster_is_away_serves_the_pool_once_that_is_back(
    client: Client, buyer: Buyer, pool: Pool
) -> None:
    if pool.cluster is None:
        pytest.skip("a machine has no server that could be away")
    pool.cluster.take_away()
    worker = pool.worker(beats=6, pause=0.05)
    worker.start()
    eventually(lambda: "starts nothing before its engine answers" in worker.read_log(), "it says so")
    pool.cluster.bring_back()
    wait_for_pool(client, pool.name, "open")
    wait_for_status(client, submit(client, buyer), "succeeded")


def test_job_that_is_cancelled_while_it_starts_leaves_no_process(client: Client, buyer: Buyer, pool: Pool) -> None:
    worker = pool.worker()
    worker.start()
    wait_for_pool(client, pool.name, "open")
    job_id = submit(client, buyer)
    eventually(lambda: runs_of(client, job_id), "a run")
    client.post(f"/jobs/{job_id}/cancel")
    wait_for_status(client, job_id, "cancelled")
    eventually(lambda: worker.workers() == [], "no process is left")
    time.sleep(3)
    assert worker.workers() == []


def test_run_that_nobody_hears_of_is_fenced_off_and_trains_nothing_more(
    place: Place, client: Client, buyer: Buyer, pool: Pool
) -> None:
    """Its process stood still for longer than its lease; when it goes on, its job is another run's."""
    worker = pool.worker()
    job_id = start_run(client, buyer, worker, pool)
    [trainer] = worker.workers()
    trainer.suspend()
    eventually(lambda: len(runs_of(client, job_id)) == 2, "another run")
    with_resumed(trainer)
    eventually(lambda: not is_running(trainer), "the fenced process has ended")
    assert statuses_of(client, job_id)[0] == (pool.name, "lost")


def with_resumed(process: psutil.Process) -> None:
    try:
        process.resume()
    except psutil.NoSuchProcess:
        return


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
