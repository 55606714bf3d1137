"""How many submissions a second one broker admits while 100,000 jobs wait, beside those of the same broker with none.

It is `broker serve --workers N` with a process for each core, and a pool of one slot that is held: the planner
keeps the line, tells it, and could start nobody. The line is made of copies of one job, without holds.
"""

import time

import psycopg

from benchmarks.bench_admission import CLIENTS, CONTRACTS, aim_orders
from benchmarks.load import Target, measure_load
from benchmarks.measuring import serve_broker
from benchmarks.row import Row
from broker.jobs.tables import Job
from tests.broker.served import ServedBroker

WAITING, ROUNDS = 100_000, 3
SHARE = 0.9
SETTINGS = {"local_slots": "1", "trainer_command": "sleep 3600", "lease_seconds": "3600", "stop_grace_seconds": "1"}
TOLD_SECONDS = 300.0
LAST_PLACE = "SELECT max(CAST(pending_reason->>'position' AS bigint)) FROM jobs WHERE status = 'queued'"
CHANGED = {"id": "id || '_' || n", "created_at": "created_at + n * interval '1 millisecond'"}


def measure() -> list[Row]:
    with serve_broker(**SETTINGS) as (broker, folder):
        buyers = [aim_orders(broker, folder) for _ in range(CONTRACTS)]
        spread = [buyers[number % CONTRACTS] for number in range(CLIENTS)]
        measure_load(spread)
        none = measure_rounds(spread)
        lengthen_line(broker)
        wait_until_told(broker)
        line = measure_rounds(spread)
    name = f"submissions, {CLIENTS} clients, {CONTRACTS} contracts, {WAITING:,} waiting"
    return [Row(name, "1/s", line, "with none waiting", none, SHARE, better="higher")]


def measure_rounds(targets: list[Target]) -> float:
    """Measure some loads, and take the one in the middle: what else the machine does meets some of them only."""
    return sorted(measure_load(targets).rate for _ in range(ROUNDS))[ROUNDS // 2]


def lengthen_line(broker: ServedBroker) -> None:
    """Let so many more jobs wait as are missing."""
    columns = [column.name for column in Job.__table__.columns if column.computed is None]
    values = ", ".join(CHANGED.get(name, name) for name in columns)
    one = "(SELECT * FROM jobs WHERE status = 'queued' ORDER BY id LIMIT 100)"
    copies = f"SELECT {values} FROM {one} AS kept, generate_series(1, {WAITING // 100}) n"
    with psycopg.connect(broker.database_url()) as connection:
        connection.execute(f"INSERT INTO jobs ({', '.join(columns)}) {copies}".encode())
        connection.execute("ANALYZE jobs")


def wait_until_told(broker: ServedBroker) -> None:
    """Wait until the last of the line has been told its place once: that is never told to so many at one time again."""
    deadline = time.monotonic() + TOLD_SECONDS
    with psycopg.connect(broker.database_url(), autocommit=True) as connection:
        while time.monotonic() < deadline:
            (told,) = connection.execute(LAST_PLACE).fetchone() or (None,)
            if told is not None and told >= WAITING:
                return
            time.sleep(2)
    raise TimeoutError(broker.read_log())
