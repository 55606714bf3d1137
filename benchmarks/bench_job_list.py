"""How many first pages of a tenant's 100,000 jobs a second one broker answers: `GET /v1/jobs`, by its own key.

It is `broker serve --workers N` with a process for each core. The jobs are copies of some that wait, written by the
database itself. The peer is an empty FastAPI handler with one SELECT of 20 rows that it answers as they are, in as many
processes, on the same PostgreSQL, under the same load.
"""

import psycopg

from benchmarks.bench_admission_in_line import CHANGED
from benchmarks.load import Target
from benchmarks.measuring import measure_broker, measure_peer, serve_broker
from benchmarks.row import Row
from broker.client.rest import Client
from broker.jobs.tables import Job
from tests.broker.served import ServedBroker, make_buyer

JOBS, KEPT, CONNECTIONS = 100_000, 10, 16
SHARE_OF_PEER = 0.3
PEER = "empty handler with a SELECT of 20 rows"


def measure() -> list[Row]:
    with serve_broker() as (broker, folder):
        with Client(broker.url, broker.admin_key()) as client:
            buyer = make_buyer(client, folder)
            for _ in range(KEPT):
                client.post("/jobs", buyer.order())
            key = client.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "load"})["key"]
        fill_list(broker)
        targets = [Target(broker.port, "/v1/jobs", token=key)] * CONNECTIONS
        ours, peer = measure_broker(broker, targets), measure_peer(broker, targets, "/rows")
    effort = f"{ours.effort.program_ms:.2f} + {ours.effort.database_ms:.2f} ms broker + PostgreSQL"
    name = f"first pages of {JOBS:,} jobs, {CONNECTIONS} connections ({effort})"
    return [Row(name, "1/s", ours.load.rate, PEER, peer.load.rate, SHARE_OF_PEER, better="higher")]


def fill_list(broker: ServedBroker) -> None:
    """Copy the jobs until there are so many."""
    columns = [column.name for column in Job.__table__.columns if column.computed is None]
    values = ", ".join(CHANGED.get(name, name) for name in columns)
    copies = f"SELECT {values} FROM jobs, generate_series(1, {JOBS // KEPT - 1}) n"
    with psycopg.connect(broker.database_url()) as connection:
        connection.execute(f"INSERT INTO jobs ({', '.join(columns)}) {copies}".encode())
        connection.execute("ANALYZE jobs")
