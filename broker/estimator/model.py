"""From the estimate that a job was admitted with, and what it took, to an observation. Pure."""

from collections.abc import Sequence

from broker.jobs.history import FinishedJob
from pricing.catalog import load_gpus
from pricing.estimate.calibration import FinishedRun, RunKind
from pricing.estimate.run_work import RunWork


def read_finished_runs(jobs: Sequence[FinishedJob]) -> list[FinishedRun]:
    """Those whose GPU type is in the catalogue; seconds are those that each GPU was held."""
    return [
        FinishedRun(
            kind=RunKind(**job.estimate["kind"]),
            work=RunWork.from_json(job.estimate["work"]),
            seconds=job.gpu_seconds / job.gpus,
        )
        for job in jobs
        if job.estimate["sku"] in load_gpus()
    ]
