"""Runs that `make bench-gpu` measured on GPUs of ours: `benchmarks/results/gpu-*.json`, a source beside the tables."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.estimator.public_runs import PublicRun

FOLDER = Path(__file__).parents[1] / "results"


def read_gpu_runs(folder: Path = FOLDER) -> list[PublicRun]:
    """Read the runs of every machine, ours and the peers'.

    Raises: KeyError, ValidationError, for a file of another form.
    """
    return [run for file in sorted(folder.glob("gpu-*.json")) for run in _read_file(file)]


def _read_file(file: Path) -> Iterator[PublicRun]:
    for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
        for run in row["runs"]:
            yield PublicRun.model_validate(run | {"reference": f"benchmarks/results/{file.name}"})
