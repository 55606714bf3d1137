"""What a heartbeat's usage costs: 500 intervals at once, and the ten-thousandth interval past the estimate.

A real `broker serve` on loopback; the benchmark is the worker of its only run. A trainer gives a heartbeat ten seconds;
after a long absence it sends 500 intervals in one, so 500 must fit well into that, and each be far cheaper than alone.
And a job that runs on past what was held for it must not make its own heartbeats dearer: the median of those after ten
thousand intervals past p90 is set against the median of the first ones.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import UNREACHED
from benchmarks.row import Row
from broker.client.rest import Client
from tests.broker.served import Buyer, ServedBroker, make_buyer

TIME_OUT_SECONDS = 10.0
INTERVALS = 500
BACKLOGS = 20
SINGLES = 30
START_SECONDS = 30.0
# Tells the benchmark how to be the worker, and stays alive.
NOTE_ENVIRONMENT = (
    """sh -c 'env > "$LORA_WORK_DIR/noted" && mv "$LORA_WORK_DIR/noted" "$LORA_WORK_DIR/env"; sleep 900'"""
)
SETTINGS = {**UNREACHED, "trainer_command": NOTE_ENVIRONMENT, "local_slots": "1"}


@dataclass
class ReportingRun:
    """The worker of a run that only reports."""

    client: Client
    run_id: str
    fence_token: int
    sequences: Iterator[int] = field(default_factory=itertools.count)

    def beat(self, intervals: int) -> float:
        """Report so many intervals of one token each; returns how long the answer took, in seconds."""
        usage = [self._interval() for _ in range(intervals)]
        begun = time.perf_counter()
        answer = self.client.post(f"/runs/{self.run_id}/heartbeats", {"fence_token": self.fence_token, "usage": usage})
        taken = time.perf_counter() - begun
        assert answer["acknowledged_sequence"] == usage[-1]["data"]["sequence"], answer
        return taken

    def _interval(self) -> dict[str, Any]:
        sequence, now = next(self.sequences), datetime.now(UTC).isoformat()
        data = {"sequence": sequence, "started_at": now, "ended_at": now, "gpu_seconds": 0, "tokens": 1}
        return {
            "specversion": "1.0",
            "id": f"{self.run_id}/{sequence}",
            "source": f"/runs/{self.run_id}",
            "type": "lora.usage.interval",
            "subject": self.run_id,
            "time": now,
            "data": data,
        }


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        broker = ServedBroker(Path(folder) / "var", SETTINGS)
        try:
            broker.start()
            with Client(broker.url, broker.admin_key()) as client:
                environment = start_run(client, broker, make_buyer(client, Path(folder), monthly_budget="1000.00"))
            with Client(broker.url, environment["LORA_RUN_TOKEN"]) as client:
                run = ReportingRun(client, environment["LORA_RUN_ID"], int(environment["LORA_FENCE_TOKEN"]))
                rows = measure_run(run)
        finally:
            broker.close()
    return rows


def measure_run(run: ReportingRun) -> list[Row]:
    run.beat(INTERVALS)  # more tokens than its job's, so that what follows is past what was held
    early = median_of(SINGLES, lambda: run.beat(1))
    backlog = median_of(BACKLOGS, lambda: run.beat(INTERVALS))
    late = median_of(SINGLES, lambda: run.beat(1))
    return [
        Row("heartbeat with 500 intervals", "s", backlog, "trainer's time-out of 10 s", TIME_OUT_SECONDS, bar=0.2),
        Row("an interval, of 500 at once", "ms", 1000 * backlog / INTERVALS, "one by itself", 1000 * early, bar=0.1),
        Row("heartbeat, 10,000 intervals past p90", "ms", 1000 * late, "the first past p90", 1000 * early, bar=1.5),
    ]


def median_of(times: int, measured: Callable[[], float]) -> float:
    return statistics.median(measured() for _ in range(times))


def start_run(client: Client, broker: ServedBroker, buyer: Buyer) -> dict[str, str]:
    """Submit a job and read what its trainer was told."""
    job = client.post("/jobs", buyer.order())
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for noted in broker.data_dir.glob("runs/*/work/env"):
            return dict(line.split("=", 1) for line in noted.read_text().splitlines() if "=" in line)
        time.sleep(0.05)
    raise TimeoutError(f"no trainer was started: {client.get('/jobs/' + job['id'])}")
