"""How soon training starts: from the moment a job is admitted to the start of its training process.

The limit is the requirement's own: dispatch starts within 200 ms of submission. The clock starts at the job's
`created_at`, which is before its admission is committed: the process often runs before the client has read the 201. A
real `broker serve` on loopback with an idle pool of one slot; the "trainer" only notes when it was started. One
submission at a time, so that nothing waits for devices.
"""

import shlex
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from broker.client.rest import Client
from tests.broker.served import Buyer, ServedBroker, make_buyer

LIMIT_MS = 200.0
SUBMISSIONS = 30
WARM_UP = 3
# Claims its run and reports that it failed: its job has failed then, and the pool is idle again.
REPORT_FAILURE = """
import json, os, urllib.request
run = f"{os.environ['LORA_BROKER_URL']}/v1/runs/{os.environ['LORA_RUN_ID']}"
headers = {"Authorization": f"Bearer {os.environ['LORA_RUN_TOKEN']}", "Content-Type": "application/json"}
for path, told in (("claim", {}), ("finish", {"outcome": "failed"})):
    body = json.dumps({"fence_token": int(os.environ["LORA_FENCE_TOKEN"]), **told}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{run}/{path}", body, headers)).close()
"""
NOTE_START = f'date +%s%N > "$LORA_WORK_DIR/started"; exec {shlex.join([sys.executable, "-c", REPORT_FAILURE])}'
SETTINGS = {"trainer_command": shlex.join(["sh", "-c", NOTE_START]), "local_slots": "1"}
DEADLINE_SECONDS = 60.0


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        broker = ServedBroker(Path(folder) / "var", SETTINGS)
        try:
            broker.start()
            with Client(broker.url, broker.admin_key()) as client:
                buyer = make_buyer(client, Path(folder))
                latencies = [submit_once(client, broker, buyer) for _ in range(WARM_UP + SUBMISSIONS)][WARM_UP:]
            broker.terminate()
        finally:
            broker.close()
    return [
        Row("submission to training, p50", "ms", statistics.median(latencies), "limit of 200 ms", LIMIT_MS, bar=1.0),
        Row("submission to training, p95", "ms", percentile_95(latencies), "limit of 200 ms", LIMIT_MS, bar=1.0),
    ]


def percentile_95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def submit_once(client: Client, broker: ServedBroker, buyer: Buyer) -> float:
    """Milliseconds from admission to the start; returns when the pool is idle again."""
    job = wait_until_ended(client, client.post("/jobs", buyer.order())["id"])
    (run,) = client.get(f"/jobs/{job['id']}/runs")["data"]
    started_seconds = int((broker.data_dir / "runs" / run["id"] / "work" / "started").read_text()) / 1e9
    return 1000 * (started_seconds - datetime.fromisoformat(job["created_at"]).timestamp())


def wait_until_ended(client: Client, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}")
        if job["status"] == "failed":
            return job
        time.sleep(0.25)
    raise TimeoutError(f"job {job_id} did not end")
