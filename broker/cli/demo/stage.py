"""The demo's stage: a real `broker serve` beside us, headings and checks on the console."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
from rich.console import Console

from broker.client_file import local_url
from broker.config import Settings

START_SECONDS = 60
STOP_SECONDS = 20


class StepFailed(Exception):
    """Something the demo promises did not hold."""


@dataclass
class Stage:
    """Where the scenario plays: the settings of the served broker and the console."""

    settings: Settings
    console: Console
    checks: int = 0

    @property
    def url(self) -> str:
        return local_url(self.settings.host, self.settings.port)

    @property
    def admin_key(self) -> str:
        return self.settings.admin_key_path.read_text().strip()

    def heading(self, text: str) -> None:
        self.console.rule(f"[bold]{text}[/]", align="left")

    def check(self, holds: bool, what: str) -> None:
        """Print that a step held. Raises: StepFailed, where it did not."""
        if not holds:
            raise StepFailed(what)
        self.checks += 1
        self.console.print(f"  [green]✓[/] {what}")


@contextmanager
def served_broker(stage: Stage) -> Iterator[None]:
    """Run `broker serve` as a process of its own, ready when the block begins and ended with it."""
    settings = stage.settings
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log = settings.data_dir / "broker.log"
    environment = {
        **os.environ,
        "BROKER_DATA_DIR": str(settings.data_dir),
        "BROKER_HOST": settings.host,
        "BROKER_PORT": str(settings.port),
        "BROKER_HEARTBEAT_SECONDS": "1",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "broker.cli.main", "serve"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_ready(stage, process, log)
        yield
    finally:
        _end(process)


def _await_ready(stage: Stage, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with stage.console.status("starting PostgreSQL and the broker"):
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise StepFailed(f"the broker ended at once; see {log}:\n{log.read_text()[-2000:]}")
            try:
                if httpx.get(f"{stage.url}/readyz", timeout=2).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
    raise StepFailed(f"the broker was not ready after {START_SECONDS} s; see {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
