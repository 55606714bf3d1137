"""`make bench-estimator-local`: forty real runs of this machine, estimated before they start and learnt from after.

Each run is estimated by what the runs before it taught; the first ten only teach. The wall time is that of the whole
trainer process, as a run of the broker holds its device.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.estimator.local_jobs import LocalJob, write_jobs
from benchmarks.machine import describe_machine
from benchmarks.row import Row
from benchmarks.run import build_table, write_results
from broker import __version__
from pricing.calibration.calibration import Calibration, Interval
from pricing.calibration.learning import FinishedRun, learn_calibration
from pricing.catalog import get_gpu, load_gpus
from pricing.estimate.run_estimate import RunEstimate, estimate_run
from pricing.resources.fitting import Prior, fit_constants
from pricing.resources.memory import BYTES_PER_GIB, MEMORY_PRIORS, MemoryConstants, weigh_contents
from pricing.resources.method import describe_method
from pricing.resources.peak_contents import PeakContents, count_peak_contents
from pricing.resources.shipped_constants import FILE as SHIPPED
from pricing.resources.trainer_memory import fill_micro_batch

RESULTS = Path(__file__).parents[1] / "results" / "estimator-local.json"
TEACHING = 10
CONTEXT_OF_A_CPU = Prior(0.45, 0.2, "Python and torch before a model is loaded")
MEMORY_SCALE = 0.1
ERROR_BAR, FEWEST_BELOW, MOST_BELOW = 0.10, 0.85, 0.95


@dataclass(frozen=True)
class JudgedRun:
    """What was estimated, the seconds it took, and the GiB that its process held at most."""

    name: str
    expected: Interval
    seconds: float
    peak_gib: float

    @property
    def error(self) -> float:
        return abs(self.expected.p50 / self.seconds - 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimator.local_runs", description=__doc__)
    parser.add_argument("--runs", type=int, help="only so many, to try it out; nothing is written then")
    parser.add_argument("--write", action="store_true", help="ship the constants of the trainer's memory")
    chosen = parser.parse_args(arguments)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="lora-broker-estimator-") as folder:
        jobs = write_jobs(Path(folder))[: chosen.runs]
        judged = run_and_learn(jobs, console)
    judged_rows = judge(judged[TEACHING:]) if len(judged) > TEACHING else []
    console.print(build_run_table(judged))
    console.print(build_table(judged_rows, describe_machine()))
    if chosen.runs is None:
        write_results(RESULTS, judged_rows, describe_machine())
    if chosen.write:
        console.print(f"memory of the trainer: {ship_memory(jobs, judged)}")
    return 0 if all(row.holds for row in judged_rows) else 1


def run_and_learn(jobs: Sequence[LocalJob], console: Console) -> list[JudgedRun]:
    gpu, finished, judged = get_gpu("cpu"), [], []
    calibration = Calibration()
    for number, job in enumerate(jobs, start=1):
        estimate = estimate_run(job.profile, job.config, job.workload, gpu, calibration, trainer_version=__version__)
        expected = calibration.estimate(estimate.kind, estimate.work, gpu)
        seconds, peak_gib = run_job(job)
        judged.append(JudgedRun(job.name, expected, seconds, peak_gib))
        finished.append(_finish(estimate, expected, seconds))
        calibration = learn_calibration(finished, load_gpus(), version=str(number))
        console.print(
            f"{number:2} {job.name}: p50 {expected.p50:.1f} s, p90 {expected.p90:.1f} s, took {seconds:.1f} s"
        )
    return judged


def run_job(job: LocalJob) -> tuple[float, float]:
    """Run the trainer, and tell its wall seconds and its peak GiB. Raises: CalledProcessError."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "trainer", "train", "--config", str(job.file)]
    with (job.file.parent / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command, log.name)
    return time.monotonic() - begun, usage.ru_maxrss * 1024 / BYTES_PER_GIB


def _finish(estimate: RunEstimate, expected: Interval, seconds: float) -> FinishedRun:
    kept = seconds <= expected.p90 if expected.has_learnt_width else None
    return FinishedRun(estimate.kind, estimate.work, seconds, kept)


def judge(judged: Sequence[JudgedRun]) -> list[Row]:
    """Compare error and coverage with the bars that the requirement names, which stand as their peers."""
    below = sum(run.seconds <= run.expected.p90 for run in judged) / len(judged)
    error = median(run.error for run in judged)
    count = len(judged)
    return [
        Row(f"wall time of {count} local runs, median error", "share", error, "the bar", ERROR_BAR, 1.0),
        Row(f"{count} local runs below p90, at least", "share", below, "the band", FEWEST_BELOW, 1.0, better="higher"),
        Row(f"{count} local runs below p90, at most", "share", below, "the band", MOST_BELOW, 1.0),
    ]


def ship_memory(jobs: Sequence[LocalJob], judged: Sequence[JudgedRun]) -> dict[str, float]:
    """Fit the memory of our own trainer to what its processes held. The context is not shipped: it is that of a CPU."""
    measured = [(count_contents(job), run) for job, run in zip(jobs, judged, strict=True)]

    def residuals(values: Mapping[str, float]) -> list[float]:
        constants = MemoryConstants(**values)
        return [math.log(weigh_contents(contents, constants).total / run.peak_gib) for contents, run in measured]

    fitted = fit_constants(MEMORY_PRIORS | {"context_gib": CONTEXT_OF_A_CPU}, residuals, scale=MEMORY_SCALE)
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    shipped["memory"]["trainer"] = {name: float(f"{fitted[name]:.4g}") for name in ("activations", "logit_bytes")}
    SHIPPED.write_text(json.dumps(shipped, indent=2) + "\n", encoding="utf-8")  # type: ignore[attr-defined]
    return fitted


def count_contents(job: LocalJob) -> PeakContents:
    checkpointing = job.config.gradient_checkpointing is True
    method = describe_method(job.profile, job.config, "fp32", checkpointing=checkpointing)
    return count_peak_contents(job.profile, method, fill_micro_batch(job.config, job.workload))


def build_run_table(judged: Sequence[JudgedRun]) -> Table:
    table = Table(title="Local runs, in the order in which they ran")
    for heading in ("run", "p50 s", "p90 s", "took s", "p50 / took", "below p90", "peak GiB"):
        table.add_column(heading, justify="right")
    for run in judged:
        numbers = (run.expected.p50, run.expected.p90, run.seconds)
        below = "yes" if run.seconds <= run.expected.p90 else "no"
        cells = [f"{number:.1f}" for number in numbers]
        table.add_row(run.name, *cells, f"{run.expected.p50 / run.seconds:.2f}", below, f"{run.peak_gib:.2f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
