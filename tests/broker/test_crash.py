"""`kill -9` of the broker at any moment: nothing is lost, nothing is billed twice.

A real `broker serve` on its own PostgreSQL is killed twenty times at random points while a client submits, pauses,
resumes and cancels, and while real processes train (`fake_trainer.py`, some of which kill themselves). What each
training process wrote down on its own disk is then compared with what the books say.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from broker.client.rest import Client
from broker.persistence.database import Scope, open_database
from broker.persistence.embedded import start_embedded_server
from tests.broker.run_books import Books, check_books, read_books
from tests.broker.served import Buyer, ServedBroker, fake_trainer, make_buyer
from tests.broker.shopping import SETTLE_SECONDS, Shopper, wait_for_ends

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CRASH_KILLS", "20"))  # a hundred take ten minutes
PLANS = ("on_demand", "prepaid")
SETTINGS = {
    "trainer_command": fake_trainer(beats=12, pause=0.05, deaths=15),
    "local_slots": "4",
    "heartbeat_seconds": "0.2",
    "lease_seconds": "5",
    "sweep_seconds": "0.5",
    "cycle_seconds": "0.5",
    "stop_grace_seconds": "5",
    "max_attempts": "100",
}


@pytest.fixture
def broker(server_folder: Path) -> Iterator[ServedBroker]:
    served = ServedBroker(server_folder / "var", SETTINGS)
    yield served
    served.close()


def start_shopper(broker: ServedBroker, seed: int, plan: str, buyer: Buyer) -> Shopper:
    shopper = Shopper(Client(broker.url, broker.admin_key()), random.Random(f"{seed} {plan}"), buyer)
    shopper.start()
    return shopper


def relax_fsync(broker: ServedBroker) -> None:
    """Turn fsync off, which saves a minute: a killed process loses nothing that it wrote, only a power cut would."""
    with psycopg.connect(broker.database_url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


def kill_and_restart(broker: ServedBroker, rng: random.Random, *, with_database: bool) -> None:
    """Kill at a random moment, the start itself included, and see it up again."""
    time.sleep(rng.uniform(0.0, 1.2))
    broker.kill()
    if with_database:
        broker.kill_database()
    if rng.random() < 0.2:
        broker.start(wait=False)
        time.sleep(rng.uniform(0.0, 2.5))
        broker.kill()
    broker.start()


def test_twenty_kills_lose_nothing_and_bill_nothing_twice(broker: ServedBroker, tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    sys.stdout.write(f"CRASH_SEED={seed}\n")  # pytest shows it where the test fails
    rng = random.Random(seed)
    broker.start()
    relax_fsync(broker)
    with Client(broker.url, broker.admin_key()) as client:
        shoppers = [start_shopper(broker, seed, plan, make_buyer(client, tmp_path, plan=plan)) for plan in PLANS]
        for number in range(1, KILLS + 1):
            kill_and_restart(broker, rng, with_database=number % 5 == 0)
        for shopper in shoppers:
            shopper.done.set()
            shopper.join(SETTLE_SECONDS)
            assert (shopper.error, shopper.is_alive()) == (None, False)
        jobs = wait_for_ends(client)
    accepted = [job_id for shopper in shoppers for job_id in shopper.accepted.values()]
    assert sorted(job["id"] for job in jobs) == sorted(accepted)
    assert broker.terminate() == 0
    assert broker.workers() == []
    books = asyncio.run(read_whole_books(broker.data_dir))
    check_books(books, broker.data_dir / "runs", jobs)


async def read_whole_books(data_dir: Path) -> Books:
    server = start_embedded_server(data_dir)
    database = open_database(server.app_url())
    try:
        async with database.transaction(Scope.ALL) as session:
            return await read_books(session)
    finally:
        await database.close()
        server.stop()
