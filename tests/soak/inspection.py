"""What must hold once a soak is over: books, runs, invoices, what Stripe has, what was told, and what is left."""

import json
import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg

from broker.client.rest import Client
from broker.config import Settings
from broker.persistence.database import Scope, open_database
from broker.retention import service as retention
from broker.system import open_system
from tests.broker.run_books import Books, check_books, read_books
from tests.broker.shopping import SETTLE_SECONDS, wait_for_ends
from tests.soak.growth import count_files
from tests.soak.town import Town
from tests.soak.traffic import BILLED, EVENTS, SOURCE, Traffic

LONGEST_TOLD = 200
# A step or an event that was taken belongs to its process for a while: that is let pass.
LET_LEASES_PASS = (
    "UPDATE stripe_steps SET not_before = now() WHERE state = 'waiting'",
    "UPDATE received_events SET not_before = now() WHERE handled_at IS NULL",
)


@dataclass
class Inspection:
    """What was found: figures to be told, and what is wrong, which is nothing where all is well."""

    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)


async def inspect(town: Town, traffic: Traffic) -> Inspection:
    """Wait until all has ended, end the town, and look at what it leaves."""
    found = Inspection()
    with town.connect() as client:
        jobs = wait_for_ends(client)
        wait_for_payments(town, client, traffic)
        inspect_invoices(found, client, traffic)
    expect_each_once(found, "job", [job["id"] for job in jobs], traffic.accepted)
    for process in [town.worker, *town.brokers]:
        ended = process.terminate(timeout=SETTLE_SECONDS)
        found.expect(ended == 0, f"{process.data_dir.name} did not end by SIGTERM as it should")
    found.expect(town.worker.workers() == [], "training processes were left")
    books = await read_all_books(town)
    found.figures |= {"jobs": len(jobs), "job_ends": dict(Counter(job["status"] for job in jobs))}
    found.figures |= {"runs": dict(Counter(books.runs.values())), "intervals": sum(map(len, books.usage.values()))}
    check_books(books, town.worker.data_dir / "runs", jobs)
    inspect_stripe(found, town)
    inspect_usage(found, town, traffic)
    inspect_webhooks(found, town)
    await inspect_files(found, town)
    inspect_logs(found, town)
    return found


def expect_each_once(found: Inspection, what: str, have: list[str], told: list[str]) -> None:
    """Expect just those of which the broker has said that it took them, each once."""
    found.expect(len(set(have)) == len(have), f"a {what} is there twice")
    found.expect(set(told) <= set(have), f"a {what} that was accepted is lost: {sorted(set(told) - set(have))[:3]}")
    unknown = sorted(set(have) - set(told))
    found.expect(not unknown, f"a {what} is there that nobody was told of: {unknown[:3]}")


async def read_all_books(town: Town) -> Books:
    database = open_database(town.urls.app)
    try:
        async with database.transaction(Scope.ALL) as session:
            return await read_books(session)
    finally:
        await database.close()


def wait_for_payments(town: Town, client: Client, traffic: Traffic) -> None:
    """Wait until Stripe has collected every order; what a killed process had taken is let go.

    As long as one after the other is paid, none is stuck, however slow the machine is.
    """
    left, since = -1, time.monotonic()
    while waiting := [each for each in traffic.finance.purchases if is_open(client, each)]:
        if len(waiting) != left:
            left, since = len(waiting), time.monotonic()
        if time.monotonic() - since > SETTLE_SECONDS:
            raise TimeoutError(f"none of {left} orders was paid in {SETTLE_SECONDS} s")
        with psycopg.connect(town.urls.owner or "", autocommit=True) as connection:
            for statement in LET_LEASES_PASS:
                connection.execute(statement.encode())
        time.sleep(0.5)


def is_open(client: Client, purchase_id: str) -> bool:
    return bool(client.get(f"/purchases/{purchase_id}")["status"] == "open")


def inspect_invoices(found: Inspection, client: Client, traffic: Traffic) -> None:
    """Expect each month's invoice once with its sum, and each order's hours once."""
    for invoice_id in traffic.finance.billed:
        invoice = client.get(f"/invoices/{invoice_id}")
        found.expect(invoice["total"]["amount"] == BILLED, f"{invoice_id} has a total of {invoice['total']['amount']}")
        same = client.get("/invoices", contract_id=invoice["contract_id"], month=invoice["month"])["data"]
        found.expect(len(same) == 1, f"{invoice['contract_id']} has {len(same)} invoices of {invoice['month']}")
    bought = [client.get(f"/purchases/{each}") for each in traffic.finance.purchases]
    found.expect(all(each["status"] == "paid" for each in bought), "an order was not paid")
    found.expect(len({each["id"] for each in bought}) == len(bought), "two orders are one")
    found.figures |= {"orders_paid_by_stripe": len(bought), "month_invoices": len(traffic.finance.billed)}


def inspect_stripe(found: Inspection, town: Town) -> None:
    """Expect one invoice at Stripe for each of ours, paid by one payment that stands once in our books."""
    kept = pickle.loads((town.stripe.data_dir / "account.pickle").read_bytes())
    ours = Counter(each["metadata"].get("broker_id") for each in kept["invoices"].values())
    found.expect(max(ours.values(), default=1) == 1, f"an invoice is at Stripe twice: {ours.most_common(2)}")
    paid = Counter(each["invoice"] for each in kept["payments"].values())
    found.expect(max(paid.values(), default=1) == 1, f"an invoice was paid twice: {paid.most_common(2)}")
    with psycopg.connect(town.urls.owner or "") as connection:
        (booked,) = connection.execute("SELECT count(*) FROM payments WHERE source = 'stripe'").fetchone() or (0,)
    found.expect(booked == len(kept["payments"]), f"{len(kept['payments'])} payments there, {booked} in our books")
    found.figures["stripe_payments"] = booked


def inspect_usage(found: Inspection, town: Town, traffic: Traffic) -> None:
    """Expect each event of the meter once, however often it was sent."""
    with psycopg.connect(town.urls.owner or "") as connection:
        query = "SELECT count(*), count(DISTINCT event_id) FROM usage_events WHERE source = %s"
        rows, events = connection.execute(query, [SOURCE]).fetchone() or (0, 0)
    found.expect(rows == events, f"{rows - events} events are charged twice")
    found.expect(events >= EVENTS * len(traffic.finance.billed), f"only {events} events of the meter are there")
    found.figures |= {"meter_events": events, "meter_events_sent": traffic.finance.counted["events sent"]}


def journal_of(town: Town) -> Path:
    """Name the file in which the receiver writes down what it takes."""
    return town.receiver.data_dir / "received.jsonl"


def inspect_webhooks(found: Inspection, town: Town) -> None:
    """Expect that what counts as delivered was received, that one id is one body, and that nothing was forged."""
    journal = journal_of(town)
    entries = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    forged = [entry for entry in entries if "forged" in entry]
    found.expect(not forged, f"a webhook came whose signature is wrong: {forged[:3]}")
    bodies: dict[str, set[str]] = {}
    for entry in entries:
        bodies.setdefault(entry.get("id", ""), set()).add(entry.get("sha256", ""))
    found.expect(all(len(each) == 1 for each in bodies.values()), "an event came with two bodies")
    with psycopg.connect(town.urls.owner or "") as connection:
        rows = connection.execute("SELECT event_id, status, attempts FROM webhook_deliveries").fetchall()
        (left,) = connection.execute("SELECT count(*) FROM webhook_outbox").fetchone() or (0,)
    lost = [event for event, status, _attempts in rows if status == "delivered" and event not in bodies]
    found.expect(not lost, f"events count as delivered that were never received: {lost[:3]}")
    found.expect(all(status != "failed" for _event, status, _attempts in rows), "a webhook was given up")
    found.figures["webhooks"] = {
        "delivered": sum(1 for row in rows if row[1] == "delivered"),
        "waiting_for_another_attempt": sum(1 for row in rows if row[1] == "pending"),
        "received": len(entries),
        "not_composed": left,
    }


async def inspect_files(found: Inspection, town: Town) -> None:
    """Expect that after a sweep nothing is left in the storage but what rows name, and nothing where files are made."""
    settings = Settings.model_validate(
        {
            "data_dir": town.folder / "inspector",
            "storage_dir": town.folder / "storage",
            "secret_key": "0123456789abcdef",
        }
        | {"ended_job_days": 0, "kept_checkpoints": 1}
    ).model_copy(update={"orphan_hours": 0})  # nobody serves any more: what has no row gets none
    system = open_system(settings, town.urls.app)
    before = count_files(town.folder / "storage")
    try:
        await retention.sweep(system)
    finally:
        await system.database.close()
    with psycopg.connect(town.urls.owner or "") as connection:
        (named,) = connection.execute(
            "SELECT (SELECT count(*) FROM datasets) + (SELECT count(*) FROM adapters)"
        ).fetchone() or (0,)
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    left, temporary = count_files(town.folder / "storage"), count_files(town.folder / "tmp")
    found.expect(left == named, f"{left} files are in the storage, and rows name {named}")
    found.figures["files"] = {"before_sweep": before, "after_sweep": left, "temporary": temporary}
    found.figures["database_mib"] = round(size / 2**20)


def inspect_logs(found: Inspection, town: Town) -> None:
    """Expect no failure in a log that nobody has thought of: these alone are logged with a traceback."""
    for process in [*town.brokers, town.worker]:
        traces = list_traces(process.read_log())
        told = ", ".join(f"{count} times {last}" for last, count in Counter(traces).most_common(5))
        found.expect(not traces, f"{len(traces)} tracebacks are in the log of {process.data_dir.name}: {told}")


def list_traces(log: str) -> list[str]:
    """List with which line each traceback of a log ends."""
    _before, *after = log.split("Traceback (most recent call last)")
    ends = (next((line for line in each.splitlines()[1:] if line[:1].strip()), "") for each in after)
    return [end[:LONGEST_TOLD] for end in ends]


@contextmanager
def keeping_logs(town: Town) -> Iterator[None]:
    """Keep the logs of a town and the receiver's journal where what is done in the block fails; says where."""
    try:
        yield
    except BaseException:
        kept = Path(mkdtemp(prefix=f"soak-{datetime.now(UTC):%Y%m%d-%H%M%S}-"))
        for path in [*(process.log_path for process in town.processes), journal_of(town)]:
            if path.exists():
                (kept / path.name).write_bytes(path.read_bytes())
        sys.stdout.write(f"the logs are kept in {kept}\n")
        raise
