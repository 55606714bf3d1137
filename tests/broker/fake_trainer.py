"""A trainer that trains nothing but speaks the real worker protocol, for tests of running and recovering.

Standard library only, so that it starts quickly. Its memory is what a trainer keeps on disk: intervals are written to
`intervals.jsonl` before they are sent, acknowledgements to `acknowledged.jsonl` after they were received. While the
broker is away it goes on, and delivers when it is back.

Settings, as `name=value` arguments, or in the JSON file named by `file=…`: `beats`, `pause` (seconds between two),
`deaths` (per mille of beats at which it kills itself), `save` (beats between two checkpoints), `ignore` (1: neither
SIGTERM nor a stop command ends it), `silent` (1: claims and reports nothing more), `exit` (an exit code: report
`failed` after the first beat and exit).
"""

import hashlib
import json
import os
import random
import signal
import struct
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

OPTIONS = {"beats": 20.0, "pause": 0.05, "deaths": 0.0, "save": 6.0, "ignore": 0.0, "silent": 0.0, "exit": 0.0}
for name, _, value in (word.partition("=") for word in sys.argv[1:]):
    OPTIONS |= json.loads(Path(value).read_text()) if name == "file" else {name: float(value)}
RUN = os.environ["LORA_RUN_ID"]
FENCE = int(os.environ["LORA_FENCE_TOKEN"])
WORK = Path(os.environ["LORA_WORK_DIR"])
BASE = f"{os.environ['LORA_BROKER_URL']}/v1/runs/{RUN}"
RETRY_SECONDS = 0.05
GIVE_UP_SECONDS = 120
FENCED_OFF, STOPPED, PREEMPTED = 70, 3, 75
FATE = random.Random(RUN)
terminated = False


def note(file: str, entry: object) -> None:
    with (WORK / file).open("a") as log:
        log.write(json.dumps(entry) + "\n")


class Away(Exception):
    """The broker does not answer."""


def call(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, *, patient: bool = True
) -> bytes:
    """One request, tried until the broker answers it, or just once. Raises: Away."""
    whole = {"Authorization": f"Bearer {os.environ['LORA_RUN_TOKEN']}", **(headers or {})}
    request = urllib.request.Request(f"{BASE}/{path}", body or None, whole, method=method)
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code in {401, 409}:
                note("fenced.jsonl", {"path": path, "answer": error.read().decode()})
                sys.exit(FENCED_OFF)
            if error.code < 500:
                note("refused.jsonl", {"path": path, "answer": error.read().decode()})
                raise
        except (OSError, urllib.error.URLError):
            pass
        if not patient or time.monotonic() > deadline:
            raise Away(path)
        time.sleep(RETRY_SECONDS)


def post(path: str, *, patient: bool = True, **fields: object) -> dict:
    body = json.dumps({"fence_token": FENCE, **fields}).encode()
    return json.loads(call("POST", path, body, {"Content-Type": "application/json"}, patient=patient))


def put(path: str, content: bytes) -> None:
    checksum = hashlib.sha256(content).hexdigest()
    call("PUT", path, content, {"X-Fence-Token": str(FENCE), "X-Content-SHA256": checksum})


def now() -> str:
    return datetime.now(UTC).isoformat()


class Meter:
    """The intervals of this run, numbered; those not acknowledged are sent again."""

    def __init__(self, next_sequence: int) -> None:
        self.next_sequence = next_sequence
        self.began, self.began_at, self.gpu_seconds = now(), time.monotonic(), 0
        self.spool: list[dict] = []

    def close_interval(self) -> None:
        ended, sequence = now(), self.next_sequence
        counted, self.gpu_seconds = self.gpu_seconds, round(time.monotonic() - self.began_at)
        data = {"sequence": sequence, "gpu_seconds": self.gpu_seconds - counted, "tokens": FATE.randint(0, 3)}
        note("intervals.jsonl", data)
        self.spool.append(
            {
                "specversion": "1.0",
                "id": f"{RUN}/{sequence}",
                "source": f"/runs/{RUN}",
                "type": "lora.usage.interval",
                "subject": RUN,
                "time": ended,
                "data": {**data, "started_at": self.began, "ended_at": ended},
            }
        )
        self.began, self.next_sequence = ended, sequence + 1

    def acknowledge(self, sequence: int) -> None:
        note("acknowledged.jsonl", sequence)
        self.spool = [event for event in self.spool if event["data"]["sequence"] > sequence]


def end(outcome: str, meter: Meter, exit_code: int, **error: str) -> None:
    post("finish", outcome=outcome, usage=meter.spool, error=error or None)
    meter.acknowledge(meter.next_sequence - 1)
    note("ended.jsonl", outcome)
    sys.exit(exit_code)


def save(step: int) -> None:
    put(f"checkpoints/{step}", json.dumps({"step": step, "run": RUN}).encode())


def make_adapter() -> bytes:
    header = json.dumps({"__metadata__": {"run": RUN}, "w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})
    return struct.pack("<Q", len(header)) + header.encode() + b"lora"


def on_sigterm(_number: int, _frame: object) -> None:
    global terminated  # noqa: PLW0603 (a signal handler has no other way)
    terminated = True


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if OPTIONS["ignore"] else on_sigterm)
    assignment = post("claim")
    dataset = call("GET", "dataset")
    assert hashlib.sha256(dataset).hexdigest() == assignment["dataset"]["sha256"]
    first = 0
    if assignment["checkpoint"]:
        state = call("GET", "checkpoint")
        assert hashlib.sha256(state).hexdigest() == assignment["checkpoint"]["sha256"]
        first = json.loads(state)["step"]
        assert first == assignment["checkpoint"]["step"]
    note("started.jsonl", {"attempt": assignment["attempt"], "first": first})
    while OPTIONS["silent"]:
        time.sleep(0.1)
    train(Meter(assignment["next_sequence"]), first)


def beat(meter: Meter, progress: dict[str, object]) -> str:
    """Send what is not acknowledged; where nobody answers, training goes on."""
    try:
        answer = post("heartbeats", patient=False, progress=progress, usage=meter.spool)
    except Away:
        return "continue"
    meter.acknowledge(answer["acknowledged_sequence"])
    return answer["command"]


def train(meter: Meter, first: int) -> None:
    total = int(OPTIONS["beats"])
    for step in range(first + 1, total + 1):
        time.sleep(OPTIONS["pause"])
        meter.close_interval()
        if FATE.randrange(1000) < OPTIONS["deaths"]:
            os.kill(os.getpid(), signal.SIGKILL)
        command = beat(meter, {"step": step, "total_steps": total, "loss": 2.0})
        if step % OPTIONS["save"] == 0:
            save(step)
        if OPTIONS["exit"]:
            end("failed", meter, int(OPTIONS["exit"]), code="out_of_memory", message="batch_size: 1")
        if OPTIONS["ignore"]:
            continue
        if command == "stop":
            save(step)
            end("stopped", meter, STOPPED)
        if terminated:
            save(step)
            end("preempted", meter, PREEMPTED)
    put("adapter", make_adapter())
    end("succeeded", meter, 0)


main()
