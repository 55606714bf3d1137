"""All the processes of a soak: a database, two brokers, a worker with its trainers, Stripe's side and a receiver.

Each of them can be killed by SIGKILL and is started again on what it left. They listen on loopback only.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx2 as httpx
import psutil
import psycopg

from broker.client.rest import Client
from broker.persistence.embedded import EmbeddedServer, start_embedded_server
from broker.processes.boot import DatabaseUrls
from tests.broker.database_folder import copy_database_folder
from tests.broker.payments.stripe.fake.account import ACCOUNT_ID
from tests.broker.payments.stripe.fake.server import API_KEY, WEBHOOK_SECRET
from tests.broker.places import WorkerProcess
from tests.broker.served import ServedBroker, fake_trainer, free_port, start_process

POOL, SLOTS = "soak", 4
# A broker that leads is killed by its name in the log; a lead that was given up is taken over within so long.
LEADS = "plans from now on"
SERVES = f"pool {POOL} is served from"
SETTINGS = {
    "secret_key": "0123456789abcdef",
    "database_wait_seconds": "120",  # one that is started as PostgreSQL is killed waits for the next
    "heartbeat_seconds": "0.2",
    "lease_seconds": "5",
    "sweep_seconds": "0.5",
    "cycle_seconds": "0.5",
    "stop_grace_seconds": "5",
    "arrears_seconds": "2",
    "retention_seconds": "5",
    "ended_job_days": "0",
    "orphan_hours": "0.05",
    "kept_checkpoints": "1",
    "max_attempts": "1000",
    "requests_per_minute": "0",
    "webhook_networks": "127.0.0.1/32",
    "stripe_api_key": API_KEY,
    "stripe_account_id": ACCOUNT_ID,
    "stripe_webhook_secret": WEBHOOK_SECRET,
}


@dataclass
class TownBroker(ServedBroker):
    """A broker that makes its temporary files where they can be counted."""

    @property
    def environment(self) -> dict[str, str]:
        temporary = self.data_dir.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        return super().environment | {"TMPDIR": str(temporary)}


@dataclass
class TownWorker(WorkerProcess):
    """The agent, which is ready when its log says so."""

    told: int = 0

    def start(self, *, wait: bool = True) -> None:
        self.told = self.log_path.stat().st_size if self.log_path.exists() else 0
        super().start(wait=wait)

    def is_ready(self, client: httpx.Client) -> bool:  # noqa: ARG002 (it answers nobody)
        return SERVES in self.log_path.read_bytes()[self.told :].decode()


@dataclass
class Program(ServedBroker):
    """A program of the foreign side, on a port that it keeps."""

    module: str = ""
    arguments: tuple[str, ...] = ()

    def start(self, *, wait: bool = True) -> None:  # noqa: ARG002 (nobody waits for what is foreign)
        command = [sys.executable, "-m", self.module, str(self.data_dir), str(self.port), *self.arguments]
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = start_process(command, self.environment, log)


@dataclass
class Town:
    """The processes by name, and the database's server, which is started again by whoever needs it."""

    folder: Path
    server: EmbeddedServer
    brokers: list[ServedBroker]
    worker: TownWorker
    stripe: Program
    receiver: Program
    down: set[str] = field(default_factory=set)

    @property
    def first(self) -> ServedBroker:
        return self.brokers[0]

    @property
    def urls(self) -> DatabaseUrls:
        return DatabaseUrls(self.server.app_url(), self.server.owner_url())

    @property
    def processes(self) -> list[ServedBroker]:
        return [*self.brokers, self.worker, self.stripe, self.receiver]

    def start(self) -> None:
        """Start everything; the first broker makes the administrator's key before the second one looks for it."""
        self.write_secrets({})
        for program in (self.stripe, self.receiver):
            program.start()
        self.first.start()
        for broker in self.brokers[1:]:
            broker.start(wait=False)
        self.worker.start()
        for broker in self.brokers[1:]:
            broker.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until all that was started again answers, and the agent serves its pool."""
        for process in (*self.brokers, self.worker):
            process.wait_until_ready()

    def close(self) -> None:
        for process in self.processes:
            process.close()
        self.server.stop()

    def connect(self, number: int = 0) -> Client:
        return Client(self.brokers[number].url, self.first.admin_key())

    def write_secrets(self, secrets: dict[str, str]) -> None:
        """Tell the receiver by what each of its addresses is signed."""
        self.receiver.data_dir.mkdir(parents=True, exist_ok=True)
        aside = self.receiver.data_dir / "secrets.part"
        aside.write_text(json.dumps(secrets))
        aside.replace(self.receiver.data_dir / "secrets.json")

    def find_leader(self) -> ServedBroker:
        """Find the broker that planned last, by its log; the first one where that cannot be read."""
        with suppress(psycopg.Error), psycopg.connect(self.server.owner_url(), connect_timeout=5) as connection:
            row = connection.execute("SELECT process_id FROM planning_leaders").fetchone()
            for broker in self.brokers:
                if row is not None and f"{row[0]}, {LEADS}" in broker.read_log():
                    return broker
        return self.first

    # What is killed, and how it comes back.
    def kill_broker(self, rng: random.Random) -> None:
        self._restart(rng.choice(self.brokers), rng)

    def kill_leader(self, rng: random.Random) -> None:
        self._restart(self.find_leader(), rng)

    def kill_agent(self, rng: random.Random) -> None:
        """Kill the process that runs the trainers; these go on, and are adopted by the next one."""
        self._restart(self.worker, rng)

    def kill_trainer(self, rng: random.Random) -> None:
        trainers = self.worker.workers()
        if trainers:
            with suppress(psutil.NoSuchProcess):
                rng.choice(trainers).kill()

    def kill_stripe(self, rng: random.Random) -> None:
        self._restart(self.stripe, rng)

    def kill_receiver(self, rng: random.Random) -> None:
        self._restart(self.receiver, rng)

    def kill_database(self, rng: random.Random) -> None:
        """Kill the postmaster, and after a while start the server again at the same address."""
        pid = int((self.server.folder / "postmaster.pid").read_text().splitlines()[0])
        psutil.Process(pid).kill()
        time.sleep(rng.uniform(0, 1.5))
        self.server = start_embedded_server(self.folder / "base")

    @staticmethod
    def _restart(process: ServedBroker, rng: random.Random) -> None:
        """Kill a process and start it again, now and then once more while it starts."""
        process.kill()
        time.sleep(rng.uniform(0, 1.0))
        if rng.random() < 0.2:
            process.start(wait=False)
            time.sleep(rng.uniform(0, 2.5))
            process.kill()
        process.start()


VICTIMS = {
    "broker": Town.kill_broker,
    "leader": Town.kill_leader,
    "database": Town.kill_database,
    "agent": Town.kill_agent,
    "trainer": Town.kill_trainer,
    "stripe": Town.kill_stripe,
    "receiver": Town.kill_receiver,
}


@contextmanager
def open_town(session_options: str = "", **settings: str) -> Iterator[Town]:
    """Start a town in a folder of its own, for as long as the block lasts; settings are the brokers' and the worker's.

    With options for its sessions at PostgreSQL, such as `-cstatement_timeout=7000`, beside the brokers' own.
    The folder is open to all: PostgreSQL runs as a user of its own.
    """
    with TemporaryDirectory(prefix="lora-broker-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        town = build_town(folder, settings, session_options)
        try:
            town.start()
            yield town
        finally:
            town.close()


def build_town(folder: Path, settings: dict[str, str], session_options: str) -> Town:
    copy_database_folder(folder / "base")  # it syncs nothing: a killed process loses nothing that it wrote
    server = start_embedded_server(folder / "base")
    urls = DatabaseUrls(server.app_url(), server.owner_url())
    ports = {name: free_port() for name in ("stripe", "receiver")}
    url = f"{urls.app}&options={quote(session_options)}" if session_options else urls.app
    shared = SETTINGS | {"database_url": url, "migration_database_url": str(urls.owner)} | settings
    shared |= {"storage_dir": str(folder / "storage"), "stripe_api_base": f"http://127.0.0.1:{ports['stripe']}"}
    brokers: list[ServedBroker] = [
        TownBroker(folder / name, {**shared, "local_slots": "0"}) for name in ("first", "second")
    ]
    own = {"pool": POOL, "local_slots": str(SLOTS), "public_url": brokers[0].url}
    trainer = {"trainer_command": fake_trainer(beats=12, pause=0.1, deaths=10)}
    worker = TownWorker(folder / "worker", {**shared, **own, **trainer, **settings})
    program = partial(Program, settings={})
    urls_of_brokers = tuple(broker.url for broker in brokers)
    stripe = program(
        folder / "stripe", port=ports["stripe"], module="tests.soak.stripe_side", arguments=urls_of_brokers
    )
    receiver = program(folder / "receiver", port=ports["receiver"], module="tests.soak.receiver")
    return Town(folder, server, brokers, worker, stripe, receiver)
