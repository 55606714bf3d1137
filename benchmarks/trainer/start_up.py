"""From `trainer train` to the end of the first step on SmolLM2, its weights de-quantized before. Bar: 10 s."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.row import Row
from benchmarks.trainer.interleave import ENVIRONMENT
from benchmarks.trainer.text_job import get_model_folder, write_mixed_job

LIMIT_SECONDS = 10.0


def measure(rounds: int) -> list[Row]:
    get_model_folder()
    seconds = statistics.median(_start_once() for _ in range(rounds))
    return [Row("start to first step, SmolLM2", "s", seconds, "limit of 10 s", LIMIT_SECONDS, bar=1.0)]


def _start_once() -> float:
    with tempfile.TemporaryDirectory(prefix="lora-bench-", ignore_cleanup_errors=True) as folder:
        job = write_mixed_job(Path(folder) / "job", epochs=1)
        command = [sys.executable, "-m", "trainer", "train", "--config", str(job)]
        started = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.startswith("step 1/"):
                        return time.monotonic() - started
            finally:
                process.kill()
    raise RuntimeError("the training ended before its first step")
