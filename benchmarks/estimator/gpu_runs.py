"""Runs that `make bench-gpu` measured on GPUs of ours: `benchmarks/results/gpu-*.json`, a source beside the tables."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.estimator.public_runs import PublicRun
from pricing.catalog import load_gpus

FOLDER = Path(__file__).parents[1] / "results"


def read_gpu_runs(folder: Path = FOLDER) -> tuple[list[PublicRun], list[str]]:
    """Read the runs of every machine, ours and the peers', and say what of a file is left out, and why.

    A rehearsal on a CPU measures nothing; of a GPU that the catalogue does not have nothing can be estimated.
    Raises: KeyError, ValidationError, for a file of another form.
    """
    runs, left_out = list[PublicRun](), list[str]()
    for file in sorted(folder.glob("gpu-*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if record.get("rehearsed"):
            left_out.append(f"{file.name} left out: rehearsed on a CPU")
            continue
        found = list(_read_runs(record, file.name))
        known = [run for run in found if run.gpu in load_gpus()]
        unknown = {run.gpu for run in found} - {run.gpu for run in known}
        left_out += [f"{file.name} left out: the catalogue has no GPU {gpu}" for gpu in sorted(unknown)]
        runs += known
    return runs, left_out


def _read_runs(record: dict[str, Any], name: str) -> Iterator[PublicRun]:
    for row in record["rows"]:
        for run in row["runs"]:
            yield PublicRun.model_validate(run | {"reference": f"benchmarks/results/{name}"})
