"""Heartbeats of 256 runs under 8 contracts over HTTP: how many intervals a second are kept and charged, at what effort.

It is `broker serve --workers N` with a process for each core. Each run is a connection that sends its next heartbeat,
with one interval, as soon as the last is answered; all of it is within what the run's hold reserves, as nine of ten
jobs are until they end. Half of the contracts have a monthly budget, which every charge is
compared with. The peer is an empty FastAPI handler with one INSERT and its commit, in as many processes, on the same
PostgreSQL with fsync on, under the same load. Both are measured in turns, and the round of the middle ratio is told:
between runs of a minute, the peer's rate alone differed by a fifth. Afterwards every rule of the ledger must hold.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.effort import count_statements
from benchmarks.load import Target, measure_load
from benchmarks.measuring import PROCESSES, Measured, check_ledger, measure_broker, measure_peer, serve_broker
from benchmarks.row import Row
from broker import all_tables  # noqa: F401 (rows of one table name those of others)
from broker.client.rest import Client
from broker.config import Settings
from broker.identity.model import RunBearer, sign_run_token
from broker.system import System, open_system
from tests.broker.factories import Customer, usage_event
from tests.broker.running_jobs import RunningJob, start_job
from tests.broker.served import Buyer, ServedBroker, make_buyer

RUNS, CONTRACTS = 256, 8
HEARTBEATS = 60  # of each run and round at most, since none is sent twice
ROUNDS = 5
COUNTED = 16  # runs that beat one after the other, too
BUDGET = "10000000.00"
# More than all rounds use.
HELD_GPU_SECONDS, HELD_TOKENS = 100_000, 1_000_000
PEER = "empty handler with an INSERT"
RATE_SHARE_OF_PEER = 0.3
# What a heartbeat took before heartbeats were taken in batches (November 2026): its processor time over that of the
# peer's answer, and its messages to PostgreSQL. The requirement is a tenth of that time; ratios differ little between
# machines that differ threefold.
TIME_BEFORE, STATEMENTS_BEFORE = 84.0, 51.5
SHARE_OF_BEFORE = 0.1


@dataclass
class BeatingRun:
    """A run that is alive, and the token of its worker."""

    job: RunningJob
    token: str
    sequence: int = 0  # that of its next interval

    @property
    def path(self) -> str:
        return f"/v1/runs/{self.job.run_id}/heartbeats"

    def aim(self, port: int, heartbeats: int) -> Target:
        """Aim its next heartbeats at a broker; those that are not sent are the next ones again (`go_on`)."""
        bodies = [self.write_heartbeat(self.sequence + number) for number in range(heartbeats)]
        return Target(port, self.path, token=self.token, bodies=bodies, once=True)

    def beat(self, broker: ServedBroker) -> None:
        """Send its next heartbeat, alone."""
        with Client(broker.url, self.token) as client:
            client.post(self.path.removeprefix("/v1"), self.write_heartbeat(self.sequence))

    def write_heartbeat(self, sequence: int) -> dict[str, Any]:
        """Write the heartbeat with the interval of this number: two GPU-seconds and 100 tokens."""
        now = datetime.now(UTC)
        usage = usage_event(self.job.run_id, sequence, gpu_seconds=2, tokens=100, started_at=now, ended_at=now)
        progress = {"step": sequence, "total_steps": HEARTBEATS, "epoch": 1, "loss": 2.31}
        return {"fence_token": 1, "progress": progress, "usage": [usage]}


@dataclass(frozen=True)
class Round:
    """Heartbeats, and the peer under the same load just after."""

    ours: Measured
    peer: Measured

    @property
    def ratio(self) -> float:
        return self.ours.load.rate / self.peer.load.rate


def measure() -> list[Row]:
    with serve_broker(lease_seconds="3600") as (broker, folder):
        runs = asyncio.run(start_runs(broker, make_buyers(broker, folder)))
        together = count_together(broker, runs)
        alone = count_alone(broker, runs[:COUNTED])
        rounds = sorted((measure_round(broker, runs) for _ in range(ROUNDS)), key=lambda each: each.ratio)
        check_ledger(broker)
    return list_rows(rounds[ROUNDS // 2], together, alone)


def measure_round(broker: ServedBroker, runs: Sequence[BeatingRun]) -> Round:
    go_on(broker, runs)
    targets = [run.aim(broker.port, HEARTBEATS) for run in runs]
    return Round(measure_broker(broker, targets), measure_peer(broker, targets))


def make_buyers(broker: ServedBroker, folder: Path) -> list[Buyer]:
    """Make the customers; every other one's contract has a monthly budget."""
    with Client(broker.url, broker.admin_key()) as client:
        terms = [{"monthly_budget": BUDGET} if number % 2 else {} for number in range(CONTRACTS)]
        return [make_buyer(client, folder, **each) for each in terms]


def list_rows(measured: Round, together: float, alone: float) -> list[Row]:
    ours, peer = measured.ours, measured.peer
    effort = f"{ours.effort.program_ms:.2f} + {ours.effort.database_ms:.2f} ms broker + PostgreSQL"
    rate = f"heartbeats of {RUNS} runs, {CONTRACTS} contracts, {PROCESSES} processes"
    before = TIME_BEFORE * peer.effort.ms
    statements = f"statements of a heartbeat among others ({alone:.1f} alone)"
    return [
        Row(rate, "intervals/s", ours.load.rate, PEER, peer.load.rate, RATE_SHARE_OF_PEER, better="higher"),
        Row(f"CPU of a heartbeat ({effort})", "ms", ours.effort.ms, "before batches", before, SHARE_OF_BEFORE),
        Row(statements, "messages", together, "before batches", STATEMENTS_BEFORE, SHARE_OF_BEFORE),
    ]


def go_on(broker: ServedBroker, runs: Iterable[BeatingRun]) -> None:
    """Let each run go on after the last interval that was kept, as a worker does: a gap would be held open for ever."""
    with psycopg.connect(broker.database_url()) as connection:
        kept = dict(connection.execute("SELECT id, acknowledged_sequence FROM runs").fetchall())
    for run in runs:
        run.sequence = kept[run.job.run_id] + 1


def count_together(broker: ServedBroker, runs: Sequence[BeatingRun]) -> float:
    """Count the statements of each heartbeat while all runs beat at once, two times."""
    targets = [run.aim(broker.port, 2) for run in runs]
    return count_messages(broker, lambda: measure_load(targets, seconds=0)) / (2 * len(runs))


def count_alone(broker: ServedBroker, runs: Sequence[BeatingRun]) -> float:
    """Count the statements of each heartbeat while one run beats after the other."""
    go_on(broker, runs)
    return count_messages(broker, lambda: [run.beat(broker) for run in runs]) / len(runs)


def count_messages(broker: ServedBroker, act: Callable[[], object]) -> int:
    return count_statements(broker.database_url(), broker.data_dir / "postgres" / "log", act)


async def start_runs(broker: ServedBroker, buyers: Sequence[Buyer]) -> list[BeatingRun]:
    """Start runs that no engine has, spread over the contracts of the buyers."""
    settings = Settings(_env_file=None, data_dir=broker.data_dir, lease_seconds=3600)
    system = open_system(settings, broker.database_url().replace("postgres@", "broker_app@", 1))
    try:
        return [await start_run(system, buyers[number % len(buyers)]) for number in range(RUNS)]
    finally:
        await system.database.close()


async def start_run(system: System, buyer: Buyer) -> BeatingRun:
    customer = Customer(buyer.customer_id, {"id": buyer.contract_id}, {"id": buyer.dataset_id})
    job = await start_job(system, customer, gpu_seconds=HELD_GPU_SECONDS, tokens=HELD_TOKENS)
    token = sign_run_token(system.services.secret, RunBearer(job.run_id, buyer.customer_id))
    return BeatingRun(job, token)
