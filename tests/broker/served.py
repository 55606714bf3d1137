"""A real `broker serve` in a process of its own: started, killed, started again on the same data."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx2 as httpx
import psutil

from broker.client.rest import Client
from tests.broker.database_folder import copy_database_folder
from tests.broker.factories import CONFIG, jsonl
from tests.broker.forked import ForkedProcess, run_broker

START_SECONDS = 120
COMMAND_SECONDS = 300  # one that imports torch, on a machine that does much else
FAKE_TRAINER = Path(__file__).with_name("fake_trainer.py")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def fake_trainer(**options: float | Path) -> str:
    """Write the value of BROKER_TRAINER_COMMAND for the fake trainer."""
    return " ".join([sys.executable, str(FAKE_TRAINER), *(f"{name}={value}" for name, value in options.items())])


@dataclass
class ServedBroker:
    """`broker serve` on one data directory and port. Settings are the environment's, without `BROKER_`.

    It is forked, and its database a copy of one that is migrated, unless it is to begin `from_nothing`.
    """

    data_dir: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | ForkedProcess | None" = None
    from_nothing: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}-{self.port}.log")

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
        return inherited | {f"BROKER_{name.upper()}": value for name, value in self.settings.items()}

    def start(self, *, wait: bool = True) -> None:
        """Start the process; with `wait`, until it answers."""
        if self.begins_with_copy():
            copy_database_folder(self.data_dir)
        self.run("serve", "--port", str(self.port), "--data-dir", str(self.data_dir))
        if wait:
            self.wait_until_ready()

    def run(self, *arguments: str) -> None:
        """Start the process of a command that goes on until it is ended."""
        if self.from_nothing:
            command = [sys.executable, "-m", "broker.cli.main", *arguments]
            with self.log_path.open("ab") as log:
                self.process = start_process(command, self.environment, log)
        else:
            self.process = ForkedProcess(run_broker, *arguments, environment=self.environment, output=self.log_path)

    def begins_with_copy(self) -> bool:
        own = "database_url" not in self.settings
        return own and not self.from_nothing and not (self.data_dir / "postgres").exists()

    def wait_until_ready(self) -> None:
        """Wait until it answers, for as long as its process gets on: a busy machine lets it wait for a processor.

        Raises: TimeoutError, where it has done next to nothing for START_SECONDS, or has used a processor for as long.
        """
        began = used = self.count_cpu_seconds()
        since = time.monotonic()
        with httpx.Client(timeout=5) as client:  # one for all attempts: each reads the certificates of the system
            while time.monotonic() - since < START_SECONDS and used - began < START_SECONDS:
                assert self.process is not None
                assert self.process.poll() is None, self.read_log()
                if self.is_ready(client):
                    return
                if (now := self.count_cpu_seconds()) >= used + 0.5:
                    used, since = now, time.monotonic()
                time.sleep(0.05)
        raise TimeoutError(self.read_log())

    def is_ready(self, client: httpx.Client) -> bool:
        with suppress(httpx.TransportError):
            return client.get(f"{self.url}/readyz").is_success
        return False

    def count_cpu_seconds(self) -> float:
        """Count for how long the process has had a processor; 0 where it is gone."""
        with suppress(psutil.Error):
            times = self.first_process().cpu_times()
            return float(times.user + times.system)
        return 0.0

    def kill(self) -> None:
        """`kill -9` of the broker's process, and of no other."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_database(self) -> None:
        """`kill -9` of the postmaster; its backends notice by themselves."""
        postmaster = self.postmaster()
        if postmaster is not None and postmaster.name() == "postgres":
            postmaster.kill()

    def terminate(self, *, timeout: float = 60) -> int:
        """End the broker by SIGTERM; returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def close(self) -> None:
        """End whatever is left: the broker, its workers, its database."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for worker in self.workers():
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        self.kill_database()

    def first_process(self) -> psutil.Process:
        assert self.process is not None
        return psutil.Process(self.process.pid)

    def further_processes(self) -> list[psutil.Process]:
        """Those beside the first one that answer the API, too."""
        found = []
        for process in self.first_process().children():
            with suppress(psutil.Error):
                if "broker.processes.child_main" in process.cmdline():
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """List the training processes of this data directory that still run."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                folder = process.environ().get("LORA_WORK_DIR", "")
                if folder.startswith(str(self.data_dir)) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def postmaster(self) -> psutil.Process | None:
        """Find the embedded server's first process; None where it does not run."""
        with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            pid = int((self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
            return psutil.Process(pid)
        return None

    def run_cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `broker` command on this data directory and at this address."""
        environment = self.environment | {
            "BROKER_DATA_DIR": str(self.data_dir),
            "BROKER_URL": self.url,
            "COLUMNS": "200",
        }
        with tempfile.TemporaryDirectory() as folder:
            output, errors = Path(folder) / "output", Path(folder) / "errors"
            process = ForkedProcess(run_broker, *arguments, environment=environment, output=output, errors=errors)
            code = process.wait(COMMAND_SECONDS)
            return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())

    def admin_key(self) -> str:
        return (self.data_dir / "admin.key").read_text().strip()

    def database_url(self) -> str:
        """Write the URL of this data directory's embedded server, as the owner of its tables."""
        socket_folder = (self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[4]
        return f"postgresql://postgres@/broker?host={socket_folder}"

    def read_log(self) -> str:
        return self.log_path.read_text()


@dataclass(frozen=True)
class Buyer:
    """A customer with a contract and a data set, ready to submit."""

    customer_id: str
    contract_id: str
    dataset_id: str

    def order(self, **fields: Any) -> dict[str, Any]:
        """Write the body of a submission."""
        return {"config": CONFIG, "dataset_id": self.dataset_id, "customer_id": self.customer_id, **fields}


def make_buyer(
    client: Client, folder: Path, *, plan: str = "on_demand", rows: bytes | None = None, **terms: Any
) -> Buyer:
    customer = client.post("/customers", {"name": f"Customer {secrets.token_hex(4)}"})["id"]
    hours = 500 if plan == "prepaid" else 0
    signed = {"customer_id": customer, "plan": plan, "committed_gpu_hours": hours, **terms}
    contract = client.post("/contracts", signed)
    if plan == "prepaid":
        client.post(f"/invoices/{contract['advance_invoice_id']}/pay")
    data = folder / f"{customer}.jsonl"
    data.write_bytes(rows or jsonl())
    return Buyer(customer, contract["id"], client.upload_dataset([data], customer_id=customer)["id"])


def follow_job(client: Client, job_id: str) -> dict[str, Any]:
    """Look at a job until it has ended; returns it as it is then."""
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}")
        if job["status"] in {"succeeded", "failed", "cancelled"}:
            return job
        time.sleep(0.2)


def start_process(command: list[str], environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
