"""What finished jobs really took, for the calibration of estimates."""

from sqlalchemy import select

from broker.jobs.model import JobStatus
from broker.jobs.tables import Job
from broker.work import Work
from pricing.estimate.calibration import Observation

LATEST = 50


async def list_observations(work: Work, customer_id: str, base_model: str, sku: str) -> list[Observation]:
    """The customer's last jobs of one base model and device that ran through in one attempt."""
    predicted = Job.estimate["uncalibrated_gpu_seconds"].as_integer()
    query = (
        select(predicted, Job.used_gpu_seconds)
        .where(
            Job.customer_id == customer_id,
            Job.status == JobStatus.SUCCEEDED.value,
            Job.attempts == 1,
            Job.used_gpu_seconds > 0,
            Job.estimate["base_model"].as_string() == base_model,
            Job.estimate["sku"].as_string() == sku,
        )
        .order_by(Job.id.desc())
        .limit(LATEST)
    )
    return [Observation(float(expected), float(actual)) for expected, actual in await work.session.execute(query)]
