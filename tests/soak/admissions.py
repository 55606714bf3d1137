"""10⁵ submissions from 64 clients against balances that cover a tenth of them: just that tenth is admitted.

Half of the contracts have paid hours for so many jobs, the others a monthly budget. A client sends each submission with
a key of its own, and again where its turn has not come in time. Afterwards the answers, the jobs, the holds and the
balances say the same, and the books verify.
"""

import asyncio
import itertools
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from broker.client.rest import Client
from broker.config import Settings
from broker.reports.verify import verify_database
from broker.system import System, open_system
from pricing.money import Money
from tests.broker.factories import CONFIG, jsonl
from tests.broker.running_jobs import add_grant
from tests.broker.served import ServedBroker

SUBMISSIONS, CLIENTS, CONTRACTS, COVERED_SHARE = 100_000, 64, 8, 10
SETTINGS = {"local_slots": "0", "workers": "2", "requests_per_minute": "0", "secret_key": "0123456789abcdef"}
SETTINGS |= {"database_pool_size": "20"}
AGAIN = (429, 503)
TOLD_EVERY = 5_000


@dataclass(frozen=True)
class Shop:
    """A contract that covers so many jobs, and what submits one to it."""

    contract_id: str
    key: str
    body: dict[str, Any]


@dataclass
class Counted:
    """What was answered to all submissions, and how often one was sent again."""

    answers: Counter[int] = field(default_factory=Counter)
    repeated: int = 0

    def note(self, status: int) -> None:
        self.answers[status] += 1
        if self.answers.total() % TOLD_EVERY == 0:
            sys.stdout.write(f"{self.answers.total()} answers: {dict(self.answers)}, {self.repeated} sent again\n")
            sys.stdout.flush()


def prove_admissions(seed: int, count: int | None = None) -> dict[str, Any]:
    """Prove it with so many submissions; returns the figures. Raises: AssertionError."""
    submissions = count or SUBMISSIONS
    each = max(1, submissions // COVERED_SHARE // CONTRACTS)
    with TemporaryDirectory(prefix="lora-broker-soak-", ignore_cleanup_errors=True) as folder:
        broker = ServedBroker(Path(folder) / "var", SETTINGS)
        try:
            broker.start()
            shops = asyncio.run(open_shops(broker, Path(folder), each))
            began = time.monotonic()
            counted = asyncio.run(submit_all(broker.port, shops, submissions))
            seconds = time.monotonic() - began
            admitted = check_admitted(broker, shops, counted, each)
            assert broker.terminate() == 0
        finally:
            broker.close()
    figures = {"submissions": submissions, "clients": CLIENTS, "contracts": CONTRACTS, "covered": each * CONTRACTS}
    told = {"admitted": admitted, "oversold": max(0, admitted - each * CONTRACTS), "sent_again": counted.repeated}
    return {**figures, **told, "answers": dict(counted.answers), "a_second": round(submissions / seconds, 1)}


async def open_shops(broker: ServedBroker, folder: Path, each: int) -> list[Shop]:
    """Make contracts, every other one with paid hours, that cover so many jobs each."""
    settings = {"data_dir": broker.data_dir, "secret_key": SETTINGS["secret_key"]}
    url = broker.database_url().replace("postgres@", "broker_app@")
    system = open_system(Settings.model_validate(settings), url)
    with Client(broker.url, broker.admin_key()) as client:
        shops = [await open_shop(client, system, folder, each, number) for number in range(CONTRACTS)]
    await system.database.close()
    return shops


async def open_shop(client: Client, system: System, folder: Path, each: int, number: int) -> Shop:
    """Make a contract with paid hours, or with a budget; its customer has a key, data and a quote."""
    customer, paid = client.post("/customers", {"name": f"Shop {number}"})["id"], number % 2 == 0
    data = folder / "train.jsonl"
    data.write_bytes(jsonl())
    dataset = client.upload_dataset([data], customer_id=customer)["id"]
    estimate = client.post("/quotes", {"config": CONFIG, "dataset_id": dataset})["estimate"]
    terms: dict[str, Any] = {"customer_id": customer, "plan": "prepaid", "committed_gpu_hours": 500}
    if not paid:
        terms = {"customer_id": customer, "plan": "on_demand", "monthly_budget": compute_budget(estimate, each)}
    contract = client.post("/contracts", terms)["id"]
    if paid:
        await add_grant(system, contract, estimate["gpu_seconds"]["p90"] * each)
    key = client.post(f"/customers/{customer}/api-keys", {"name": "shop"})["key"]
    quote = client.post("/quotes", {"config": CONFIG, "dataset_id": dataset})["id"]
    return Shop(contract, key, {"config": CONFIG, "dataset_id": dataset, "quote_id": quote})


def compute_budget(estimate: Any, each: int) -> str:
    """Compute what so many jobs hold at the prices of the plan, each rounded up to the micro-yuan."""
    exact = estimate["gpu_seconds"]["p90"] * Fraction("6.8") / 3600 + estimate["tokens"] * Fraction("0.00012")
    return (Money(math.ceil(exact * 1_000_000)) * each).format_amount()


async def submit_all(port: int, shops: list[Shop], submissions: int) -> Counted:
    numbers, counted = iter(range(submissions)), Counted()
    await asyncio.gather(*(submit_some(port, shops, numbers, counted) for _client in range(CLIENTS)))
    return counted


async def submit_some(port: int, shops: list[Shop], numbers: Iterator[int], counted: Counted) -> None:
    """Be one client: the next submission as soon as the one before is decided."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        request = write_request(port, shops[number % len(shops)], f"submission-{number}")
        for attempt in itertools.count():
            writer.write(request)
            status = await read_status(reader)
            if status not in AGAIN:
                break
            counted.repeated += 1
            await asyncio.sleep(min(0.05 * 2**attempt, 2.0))
        counted.note(status)
    writer.close()
    await writer.wait_closed()


def write_request(port: int, shop: Shop, key: str) -> bytes:
    body = json.dumps(shop.body).encode()
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {shop.key}\r\n"
    head += f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def check_admitted(broker: ServedBroker, shops: list[Shop], counted: Counted, each: int) -> int:
    """Check that each contract has just the jobs and holds that it covers, and what was answered. Returns how many."""
    query = """
        SELECT j.contract_id, count(*), count(h.job_id) FROM jobs j LEFT JOIN holds h
        ON h.job_id = j.id AND h.state = 'placed' GROUP BY j.contract_id
    """
    with psycopg.connect(broker.database_url()) as connection:
        found = {contract: (jobs, holds) for contract, jobs, holds in connection.execute(query).fetchall()}
    assert found == {shop.contract_id: (each, each) for shop in shops}, found
    assert set(counted.answers) <= {201, 402}, counted.answers
    admitted = sum(jobs for jobs, _holds in found.values())
    assert counted.answers[201] == admitted
    broken = [result for result in asyncio.run(verify_database(broker.database_url())) if result.broken]
    assert broken == [], broken
    return admitted
