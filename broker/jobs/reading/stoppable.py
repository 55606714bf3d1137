"""What the planner weighs of runs before it stops one for another: what would be lost, and at which rate."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import ARRAY, Text, any_, bindparam, cast, func, select

from broker.jobs.tables import Checkpoint, Job, Run
from broker.persistence.driver import Command, Row, Statement
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


SAVED = (
    select(func.max(Checkpoint.created_at))
    .where(Checkpoint.run_id == Run.id, Checkpoint.unusable_at.is_(None))
    .scalar_subquery()
)
FACTS = Statement(
    select(
        Job.id,
        Job.created_at,
        Job.used_gpu_seconds - Run.used_gpu_seconds,
        Job.stop_requested.is_not(None),
        SAVED,
        cast(Job.gpu_types, Text),
        Run.gpu_type,
    )
    .join(Run, (Run.job_id == Job.id) & (Run.attempt == Job.attempts))
    .where(Job.id == any_(bindparam("job_ids", type_=ARRAY(Text))))
)


def find_stop_facts(job_ids: Collection[str]) -> Command:
    """Make the command that finds what is known of the present runs of these jobs."""
    return Command(FACTS, {"job_ids": list(job_ids)}, finds_nothing=not job_ids)


def read_stop_facts(rows: Iterable[Row]) -> dict[str, StopFacts]:
    """Read what is known of runs from the rows of `find_stop_facts`, by job."""
    return {
        job_id: StopFacts(submitted_at, before, is_stopping, saved_at, _find_rate(written, gpu_type))
        for job_id, submitted_at, before, is_stopping, saved_at, written, gpu_type in rows
    }


@lru_cache(maxsize=4096)  # jobs that are alike are read once
def _find_rate(written: str | None, gpu_type: str | None) -> int:
    """Find what a GPU-second on a type costs a job's customer, tokens and all: where none is known, as good as nothing.

    Units: micro-yuan.
    """
    runs = [] if written is None else [TypedRun.from_json(each) for each in json.loads(written)]
    run = next((each for each in runs if each.sku == gpu_type), None)
    return 1 if run is None else max(1, run.price_micros // max(1, run.p90_seconds))
