"""What the planner weighs of runs before it stops one for another: what would be lost, and at which rate."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import ARRAY, Text, any_, cast, func, literal, select

from broker.jobs.tables import Checkpoint, Job, Run
from broker.work import Work
from pricing.estimate.type_choice import TypedRun


@dataclass(frozen=True)
class StopFacts:
    """What is known of a run that might be stopped. Units: GPU-seconds, micro-yuan for a GPU-second.

    `checkpoint_at`: when its last checkpoint was durable; `used_before` is what earlier runs of its job used.
    """

    submitted_at: datetime
    used_before: int
    is_stopping: bool
    checkpoint_at: datetime | None
    rate_micros: int


async def list_stop_facts(work: Work, job_ids: Collection[str]) -> dict[str, StopFacts]:
    """List what is known of the present runs of these jobs, by job."""
    saved = (
        select(func.max(Checkpoint.created_at))
        .where(Checkpoint.run_id == Run.id, Checkpoint.unusable_at.is_(None))
        .scalar_subquery()
    )
    earlier = Job.used_gpu_seconds - Run.used_gpu_seconds
    types = cast(Job.gpu_types, Text)
    query = (
        select(Job.id, Job.created_at, earlier, Job.stop_requested.is_not(None), saved, types, Run.gpu_type)
        .join(Run, (Run.job_id == Job.id) & (Run.attempt == Job.attempts))
        .where(Job.id == any_(literal(list(job_ids), ARRAY(Text))))
    )
    return {
        job_id: StopFacts(submitted_at, before, is_stopping, saved_at, _find_rate(written, gpu_type))
        for job_id, submitted_at, before, is_stopping, saved_at, written, gpu_type in await work.session.execute(query)
    }


@lru_cache(maxsize=4096)  # jobs that are alike are read once
def _find_rate(written: str | None, gpu_type: str | None) -> int:
    """Find what a GPU-second on a type costs a job's customer, tokens and all: where none is known, as good as nothing.

    Units: micro-yuan.
    """
    runs = [] if written is None else [TypedRun.from_json(each) for each in json.loads(written)]
    run = next((each for each in runs if each.sku == gpu_type), None)
    return 1 if run is None else max(1, run.price_micros // max(1, run.p90_seconds))
