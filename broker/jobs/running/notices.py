"""Telling the customers of jobs that run on a pool what concerns it: an event of each job."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import or_, select

from broker.jobs.events import record_event
from broker.jobs.service import lock_job
from broker.jobs.tables import Run
from broker.work import Work


async def tell_jobs_on(
    work: Work, pool: str, nodes: Collection[str] | None, kind: str, told: Mapping[str, Any]
) -> list[str]:
    """Tell the jobs that run on a pool, or on machines of it, by an event; returns them. They are locked by id."""
    query = select(Run.job_id).where(Run.status.in_(("starting", "running")), Run.pool == pool)
    if nodes is not None:
        here = Run.node.in_(nodes)
        query = query.where(or_(here, Run.node.is_(None)) if pool in nodes else here)
    job_ids = sorted(await work.session.scalars(query))
    for job_id in job_ids:
        record_event(work, await lock_job(work, job_id), kind, dict(told))
    return job_ids
