"""What finished jobs really took, beside what was estimated: what the estimator learns from and is judged by."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select

from broker.jobs.model import JobStatus
from broker.jobs.tables import Job
from broker.work import Work


@dataclass(frozen=True)
class FinishedJob:
    """A job that ran through in one attempt. `estimate` is the one that it was admitted with."""

    id: str
    estimate: dict[str, Any]
    gpu_seconds: int
    gpus: int
    finished_at: datetime


async def list_finished_jobs(work: Work, *, latest: int) -> list[FinishedJob]:
    """The latest of all customers, in the order in which they finished."""
    columns = (Job.id, Job.estimate, Job.used_gpu_seconds, Job.gpus, Job.finished_at)
    query = select(*columns).where(_ran_through()).order_by(Job.finished_at.desc(), Job.id.desc()).limit(latest)
    found = [FinishedJob(*row) for row in await work.session.execute(query)]
    return found[::-1]


async def count_finished_jobs(work: Work) -> int:
    return await work.session.scalar(select(func.count()).select_from(Job).where(_ran_through())) or 0


def _ran_through() -> ColumnElement[bool]:
    return and_(Job.status == JobStatus.SUCCEEDED.value, Job.attempts == 1, Job.used_gpu_seconds > 0)
