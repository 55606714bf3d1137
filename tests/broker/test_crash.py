"""`kill -9` of the broker at any moment: nothing is lost, nothing is billed twice.

A real `broker serve` on its own PostgreSQL is killed twenty times at random points while a client submits, pauses,
resumes and cancels, and while real processes train (`fake_trainer.py`, some of which kill themselves). What each
training process wrote down on its own disk is then compared with what the books say.
"""

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from broker.client.errors import ApiError, NotReachable
from broker.client.rest import Client
from broker.persistence.database import Scope, open_database
from broker.persistence.embedded import start_embedded_server
from broker.reports.verify import verify_ledger
from tests.broker.served import Buyer, ServedBroker, fake_trainer, make_buyer

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CRASH_KILLS", "20"))  # a hundred take ten minutes
PLANS = ("on_demand", "prepaid")
MOST_OPEN = 8  # of one client: more would only wait for a slot, and the test at its end for all of them
SETTLE_SECONDS = 240  # for one job to end, of however many are left
TERMINAL = {"succeeded", "failed", "cancelled"}
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


@dataclass
class Shopper(threading.Thread):
    """A client that never stops: each request is repeated with its key until the broker has answered it."""

    client: Client
    rng: random.Random
    buyer: Buyer
    accepted: dict[str, str] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            while not self.done.is_set():
                self.shop()
                time.sleep(self.rng.uniform(0.1, 0.5))
        except BaseException as error:  # noqa: BLE001 (told by the test's own thread)
            self.error = error
        finally:
            self.client.http.close()

    def shop(self) -> None:
        key, left = f"{self.buyer.customer_id}-{len(self.accepted)}", self.list_open()
        if len(left) < MOST_OPEN:
            job = self.insist("/jobs", self.buyer.order(), key)
            self.accepted[key] = job["id"]
        if self.rng.random() < 0.5:
            time.sleep(self.rng.uniform(0, 1))
            action = self.rng.choice(["cancel", "pause", "pause", "resume", "resume"])
            chosen = self.rng.choice([*list(self.accepted.values())[-8:], *left])
            self.insist(f"/jobs/{chosen}/{action}", {}, f"{key}-{action}-{self.rng.random()}")

    def list_open(self) -> list[str]:
        """List the jobs that have not ended; none while the broker is away, so that something is always asked of it."""
        with suppress(ApiError, NotReachable):
            jobs = self.client.list_all("/jobs", customer_id=self.buyer.customer_id)
            return [job["id"] for job in jobs if job["status"] not in TERMINAL]
        return []

    def insist(self, path: str, body: dict[str, Any], key: str) -> Any:
        """Post until there is an answer; a 409 is one too: the job had moved on."""
        while True:
            try:
                return self.client.post(path, body, idempotency_key=key)
            except ApiError as error:
                if error.status == 409:
                    return error.problem
                if error.status < 500:
                    raise
            except NotReachable:
                pass
            time.sleep(0.05)


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
    time.sleep(rng.uniform(0.0, 2.0))
    broker.kill()
    if with_database:
        broker.kill_database()
    if rng.random() < 0.2:
        broker.start(wait=False)
        time.sleep(rng.uniform(0.0, 2.5))
        broker.kill()
    broker.start()


def wait_for_ends(client: Client) -> list[dict[str, Any]]:
    """All jobs, once each has ended; what is paused is resumed first.

    However many wait after the last kill, and however slow the machine is: as long as one after the other ends, none is
    stuck. A hundred kills left 11 within a bound for all of them.
    """
    left, since = -1, time.monotonic()
    while True:
        jobs = list(client.list_all("/jobs"))
        for job in jobs:
            if job["status"] == "paused":
                client.post(f"/jobs/{job['id']}/resume")
        waiting = [job for job in jobs if job["status"] not in TERMINAL]
        if not waiting:
            return jobs
        if len(waiting) != left:
            left, since = len(waiting), time.monotonic()
        if time.monotonic() - since > SETTLE_SECONDS:
            pytest.fail(f"none of {left} jobs ended in {SETTLE_SECONDS} s: {list(map(describe_stuck, waiting))}")
        time.sleep(0.5)


def describe_stuck(job: dict[str, Any]) -> dict[str, Any]:
    """Say of a job that does not end where it is, why it waits, and how far it came."""
    return {name: job.get(name) for name in ("id", "status", "attempts", "pending_reason", "progress", "error")}


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
    books = asyncio.run(read_books(broker.data_dir))
    check_books(books, broker.data_dir / "runs", jobs)


@dataclass(frozen=True)
class Books:
    broken_rules: dict[str, list[str]]
    open_holds: int
    unrelayed: int
    runs: dict[str, str]
    usage: dict[str, list[dict[str, int]]]


async def read_books(data_dir: Path) -> Books:
    server = start_embedded_server(data_dir)
    database = open_database(server.app_url())
    try:
        async with database.transaction(Scope.ALL) as session:
            usage: dict[str, list[dict[str, int]]] = {}
            query = text("SELECT run_id, sequence, gpu_seconds, tokens FROM usage_events ORDER BY run_id, sequence")
            for row in (await session.execute(query)).mappings():
                stored = {name: row[name] for name in ("sequence", "gpu_seconds", "tokens")}
                usage.setdefault(row["run_id"], []).append(stored)
            return Books(
                {check.rule: check.broken for check in await verify_ledger(session) if check.broken},
                await session.scalar(text("SELECT count(*) FROM holds WHERE state = 'placed'")) or 0,
                await session.scalar(text("SELECT count(*) FROM outbox WHERE done_at IS NULL")) or 0,
                {row.id: row.status for row in await session.execute(text("SELECT id, status FROM runs"))},
                usage,
            )
    finally:
        await database.close()
        server.stop()


def check_books(books: Books, runs_dir: Path, jobs: list[dict[str, Any]]) -> None:
    assert books.broken_rules == {}
    assert books.open_holds == 0
    folders = {folder.name for folder in runs_dir.iterdir()}
    assert folders <= set(books.runs), "a process was started for a run that no row knows"
    for run_id, status in books.runs.items():
        check_run(runs_dir / run_id / "work", status, books.usage.get(run_id, []))
    stored = [interval for run in books.usage.values() for interval in run]
    for meter, told in (("gpu_seconds", "used_gpu_seconds"), ("tokens", "used_tokens")):
        assert sum(interval[meter] for interval in stored) == sum(job[told] for job in jobs)
    outcomes = {status: list(books.runs.values()).count(status) for status in sorted(set(books.runs.values()))}
    sys.stdout.write(f"{len(jobs)} jobs, {len(books.runs)} runs {outcomes}, {len(stored)} intervals\n")
    assert outcomes["succeeded"] > 0


def check_run(work_dir: Path, status: str, stored: list[dict[str, int]]) -> None:
    """Check that the books have what the run's process wrote down: all of it where it knew that it had ended.

    A process that was killed may have sent a last interval whose acknowledgement it never read; more than it wrote
    down, or less than was acknowledged to it, is on the books of nobody.
    """
    written = read_lines(work_dir / "intervals.jsonl")
    acknowledged = max(read_lines(work_dir / "acknowledged.jsonl"), default=-1)
    assert stored == written[: len(stored)], work_dir
    assert len(stored) > acknowledged, work_dir
    assert read_lines(work_dir / "refused.jsonl") == []
    ended = read_lines(work_dir / "ended.jsonl")
    if ended:
        assert [status] == ended, work_dir
        assert stored == written, work_dir


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
