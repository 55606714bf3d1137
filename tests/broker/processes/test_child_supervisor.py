"""`broker serve --workers 2` as processes: each answers, one that dies is replaced, and none outlives the first."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest
from pydantic import SecretStr

from broker.client.rest import Client
from broker.config import Settings
from broker.processes.child_main import Order
from broker.processes.child_supervisor import LONGEST_RESTART_SECONDS, compute_pause
from tests.broker.served import ServedBroker, make_buyer
from tests.conftest import FolderMaker

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 60


@pytest.fixture(scope="module")
def served(server_folders: FolderMaker) -> Iterator[ServedBroker]:
    """One broker for all tests of this module: each further process of it starts Python anew, which takes seconds."""
    with server_folders() as folder:
        served = ServedBroker(folder / "var", {"local_slots": "0", "workers": "2"})
        served.start()
        yield served
        served.close()


@pytest.fixture
def broker(served: ServedBroker) -> ServedBroker:
    """Find the broker running, whatever the test before has done to it."""
    assert served.process is not None
    if served.process.poll() is not None:
        served.start()
    return served


def eventually(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail(f"never: {what}")


@contextmanager
def suspended(process: psutil.Process) -> Iterator[None]:
    """Suspend a process: what is answered meanwhile, another process answers."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_for_further_process(broker: ServedBroker) -> psutil.Process:
    """Wait for the second process until it answers by itself."""
    eventually(lambda: len(broker.further_processes()) == 1, "a second process")
    (further,) = broker.further_processes()
    with suspended(broker.first_process()):

        def answers() -> bool:
            try:
                return httpx.get(f"{broker.url}/readyz", timeout=1).is_success
            except httpx.TransportError:
                return False

        eventually(answers, "the second process answers alone")
    return further


def test_both_processes_answer_and_one_that_dies_is_replaced(broker: ServedBroker, tmp_path: Path) -> None:
    further = wait_for_further_process(broker)
    with Client(broker.url, broker.admin_key()) as client:
        buyer = make_buyer(client, tmp_path)
    with suspended(further), Client(broker.url, broker.admin_key()) as client:
        quote = client.post("/quotes", {"config": buyer.order()["config"], "dataset_id": buyer.dataset_id})
    further.kill()
    eventually(lambda: has_ended(further), "the second process is dead")
    eventually(lambda: bool(broker.further_processes()), "another in its place")
    assert wait_for_further_process(broker).pid != further.pid
    assert f"API process {further.pid} ended (exit code -9); starting another" in broker.read_log()
    with suspended(broker.first_process()), Client(broker.url, broker.admin_key()) as client:
        assert client.get(f"/quotes/{quote['id']}") == quote


def test_none_outlives_a_first_process_that_is_killed(broker: ServedBroker) -> None:
    further = wait_for_further_process(broker)
    broker.kill()
    eventually(lambda: has_ended(further), "the second process has noticed")
    broker.start()
    wait_for_further_process(broker)


def test_sigterm_ends_all_of_them_and_the_database(broker: ServedBroker) -> None:
    further = wait_for_further_process(broker)
    told_before = len(broker.read_log())
    assert broker.terminate() == 0
    assert has_ended(further)
    assert broker.postmaster() is None
    assert "starting another" not in broker.read_log()[told_before:]


def test_further_processes_know_the_secrets_of_the_settings() -> None:
    """A past fault: they were masked on the way, so that only the first process could check what Stripe sends."""
    secrets = {"stripe_webhook_secret": SecretStr("whsec_one"), "oidc_client_secret": SecretStr("two")}
    order = Order(settings=Settings(log_level="debug", **secrets), database_url="postgresql:///x", listener=3)
    assert Order.model_validate_json(order.model_dump_json()) == order


def test_process_that_dies_young_again_and_again_waits_ever_longer() -> None:
    """Each start that failed wrote its traceback, once a second."""
    pauses = [1.0]
    for _ in range(8):
        pauses.append(compute_pause(pauses[-1], lived_seconds=0.5))
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_RESTART_SECONDS, LONGEST_RESTART_SECONDS, 60.0]
    assert compute_pause(pauses[-1], lived_seconds=3600.0) == 1.0
