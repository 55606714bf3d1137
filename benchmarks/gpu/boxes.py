"""Time boxes: each row in a process of its own, ended when its seconds are over; the whole in its minutes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.rows import BenchRow

LEAST_SECONDS = 10.0  # less is not worth a process: it takes that to import torch


@dataclass
class Outcome:
    """What the rows said, and why each other said nothing, in their order."""

    results: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


RunRow = Callable[[BenchRow, float], dict[str, Any]]


class RowFailed(RuntimeError):
    """The row's process ended without a result; the message is the end of what it said."""


def run_rows(
    rows: Sequence[BenchRow], run: RunRow, *, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Outcome:
    """Run the rows one after the other while there is time; a row that fails costs the others nothing."""
    outcome, ends_at = Outcome(), clock() + seconds
    for row in rows:
        left = ends_at - clock()
        if left < LEAST_SECONDS:
            outcome.left_out[row.name] = f"the {seconds:.0f} s were over"
            continue
        box = min(row.box, left)
        try:
            outcome.results.append(run(row, box))
        except subprocess.TimeoutExpired:
            outcome.left_out[row.name] = f"took longer than its {box:.0f} s"
        except RowFailed as error:
            outcome.left_out[row.name] = f"failed: {error}"
    return outcome


def run_in_process(row: BenchRow, box: float, *, rehearses: bool) -> dict[str, Any]:
    """Run one row in a process of its own. Raises: TimeoutExpired, RowFailed."""
    with tempfile.TemporaryDirectory(prefix="lora-bench-gpu-") as folder:
        answer = Path(folder) / "row.json"
        command = [sys.executable, "-m", "benchmarks.gpu", "--row", row.name, "--answer", str(answer)]
        done = subprocess.run(
            [*command, *(["--rehearse"] if rehearses else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=box,
            check=False,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "LORA_TRAINER_CACHE": folder},
        )
        if done.returncode or not answer.is_file():
            raise RowFailed(done.stdout.strip()[-600:] or f"exit code {done.returncode}")
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return result | {"log": [*result["log"], *done.stdout.strip().splitlines()[-20:]]}
