"""How many usage events a second are taken from outside: batches of 500 over HTTP, one in ten events sent before.

It is `broker serve --workers N` with a process for each core; each of four connections reports tokens of a contract of
its own, by the key of a meter. Each event is judged, named for ever, stored, added to the sums of its hour and charged.
The peer is `COPY` of as many rows of the same events, a commit for each 500, into a table with the columns and the
indexes of `usage_events`, by one connection to the same PostgreSQL with fsync on. Afterwards every rule of the ledger
must hold.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.load import SECONDS, Target
from benchmarks.measuring import check_ledger, measure_broker, serve_broker
from benchmarks.row import Row
from broker.client.rest import Client
from tests.broker.served import ServedBroker, make_buyer

SOURCE = "/benchmark"
CONTRACTS, BATCH, SENT_BEFORE, BATCHES = 4, 500, 50, 60
SHARE_OF_PEER = 0.1
COLUMNS = (
    "source, event_id, ended_at, run_id, sequence, customer_id, contract_id, project_id, job_id, gpu_type, labels, "
    "gpu_seconds, tokens, started_at, checkpoint_step, event, received_at"
)
TABLE = "CREATE TABLE benchmark_events (LIKE usage_events INCLUDING ALL)"
SAMPLE = f"COPY (SELECT {COLUMNS} FROM usage_events WHERE source = '{SOURCE}' LIMIT {BATCH}) TO STDOUT"
COPY = f"COPY benchmark_events ({COLUMNS}) FROM STDIN"


def measure() -> list[Row]:
    with serve_broker() as (broker, folder):
        ours = measure_broker(broker, aim(broker, folder))
        peer = measure_copy(broker)
        check_ledger(broker)
    effort = f"{ours.effort.program_ms:.0f} + {ours.effort.database_ms:.0f} ms a batch, broker + PostgreSQL"
    name = f"usage events in batches of {BATCH}, {CONTRACTS} connections ({effort})"
    return [Row(name, "events/s", BATCH * ours.load.rate, "COPY", peer, SHARE_OF_PEER, better="higher")]


def aim(broker: ServedBroker, folder: Path) -> list[Target]:
    """Aim each connection's batches at the broker, for a contract of its own."""
    with Client(broker.url, broker.admin_key()) as client:
        client.post("/usage-sources", {"source": SOURCE, "name": "Benchmark"})
        key = client.post("/api-keys", {"name": "meter", "role": "meter"})["key"]
        contracts = [make_buyer(client, folder).contract_id for _ in range(CONTRACTS)]
    return [
        Target(broker.port, "/v1/usage-events", 202, key, list(write_batches(contract)), once=True)
        for contract in contracts
    ]


def write_batches(contract_id: str) -> Iterator[list[dict[str, Any]]]:
    """Write batches of one contract; each begins with the last events of the one before."""
    now = datetime.now(UTC).isoformat()
    for batch in range(BATCHES):
        first = batch * (BATCH - SENT_BEFORE)
        yield [write_event(contract_id, number, now) for number in range(first, first + BATCH)]


def write_event(contract_id: str, number: int, now: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{contract_id}-{number}",
        "source": SOURCE,
        "type": "lora.usage.measured",
        "subject": contract_id,
        "time": now,
        "data": {"meter": "tokens", "quantity": 100 + number % 900},
    }


def measure_copy(broker: ServedBroker) -> float:
    """Rows a second by COPY: the same events again and again, each under a new id."""
    with psycopg.connect(broker.database_url(), autocommit=True) as connection:
        connection.execute(TABLE)
        with connection.cursor().copy(SAMPLE) as sample:
            lines = b"".join(sample).decode().splitlines()
        begun, batches = time.monotonic(), 0
        while time.monotonic() < begun + SECONDS:
            rows = "".join(f"{SOURCE}\t{batches}-{line.removeprefix(SOURCE).lstrip()}\n" for line in lines)
            with connection.cursor().copy(COPY) as copy:
                copy.write(rows)
            batches += 1
        return len(lines) * batches / (time.monotonic() - begun)
