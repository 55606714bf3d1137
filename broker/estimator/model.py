"""Finished jobs as what is learnt and judged: the estimate that each was admitted with, and what it took. Pure."""

from collections.abc import Sequence

from broker.jobs.reading.history import FinishedJob
from pricing.calibration.accuracy import JudgedRun
from pricing.calibration.calibration import has_learnt_width
from pricing.calibration.learning import FinishedRun
from pricing.catalog import load_gpus


def read_finished_runs(jobs: Sequence[FinishedJob]) -> list[FinishedRun]:
    """Read what jobs teach, of those whose GPU type is in the catalogue. Units: seconds that each GPU was held."""
    return [
        FinishedRun(
            kind=job.estimate.kind,
            work=job.estimate.work,
            seconds=job.gpu_seconds / job.gpus,
            kept_p90=to_judged_run(job).is_covered(0.9) if has_learnt_width(job.estimate.calibration_runs) else None,
            finished_at=job.finished_at,
        )
        for job in jobs
        if job.estimate.sku in load_gpus()
    ]


def to_judged_run(job: FinishedJob) -> JudgedRun:
    """Put a job's estimate beside what it took. Units: GPU-seconds of all the job's GPUs."""
    estimate = job.estimate
    return JudgedRun(
        job_id=job.id,
        kind=estimate.kind,
        calibration=estimate.calibration,
        p50=estimate.gpu_seconds.p50,
        p90=estimate.gpu_seconds.p90,
        actual=job.gpu_seconds,
        finished_at=job.finished_at,
        has_ended=job.has_ended,
    )
