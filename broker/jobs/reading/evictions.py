"""Evictions as others read them: a job's own, those of late by pool, and how many there were by reason and cause."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DateTime, bindparam, func, select

from broker.jobs.tables import Eviction, LostWorkRecord, Run
from broker.persistence.driver import Command, Row, Statement
from broker.work import Work
from pricing.usage import Usage


@dataclass(frozen=True)
class EvictionCard:
    """An eviction, and what came of it; `ended_at` and `cause` None: its run still saves. `lost` the house bears."""

    eviction: Eviction
    ended_at: datetime | None
    cause: str | None
    lost: Usage


@dataclass(frozen=True)
class LateEviction:
    """An eviction of late, as the planner counts it. `ended_at` None: its run still saves."""

    job_id: str
    run_id: str
    for_job_id: str
    pool: str
    node: str
    kept_gpus: int
    created_at: datetime
    ended_at: datetime | None


async def list_evictions(work: Work, job_id: str) -> Sequence[EvictionCard]:
    """List how a job was evicted, the earliest first, at most the last hundred."""
    lost = (
        select(
            LostWorkRecord.run_id,
            func.sum(LostWorkRecord.gpu_seconds).label("gpu_seconds"),
            func.sum(LostWorkRecord.tokens).label("tokens"),
        )
        .where(LostWorkRecord.job_id == job_id)
        .group_by(LostWorkRecord.run_id)
        .subquery()
    )
    query = (
        select(Eviction, Run.ended_at, Run.cause, lost.c.gpu_seconds, lost.c.tokens)
        .join(Run, Run.id == Eviction.run_id)
        .outerjoin(lost, lost.c.run_id == Eviction.run_id)
        .where(Eviction.job_id == job_id)
        .order_by(Eviction.id.desc())
        .limit(100)
    )
    rows = (await work.session.execute(query)).all()
    return [
        EvictionCard(eviction, ended_at, cause, Usage(int(gpu_seconds or 0), int(tokens or 0)))
        for eviction, ended_at, cause, gpu_seconds, tokens in reversed(rows)
    ]


LATE = Statement(
    select(
        Eviction.job_id,
        Eviction.run_id,
        Eviction.for_job_id,
        Eviction.pool,
        func.coalesce(Eviction.node, Eviction.pool),
        Eviction.kept_gpus,
        Eviction.created_at,
        Run.ended_at,
    )
    .join(Run, Run.id == Eviction.run_id)
    .where(Eviction.created_at >= bindparam("since", type_=DateTime(timezone=True)), Eviction.for_job_id.is_not(None))
    .order_by(Eviction.id)
)


def find_late_evictions(since: datetime) -> Command:
    """Make the command that finds the evictions for other jobs since a moment, of all pools, the earliest first."""
    return Command(LATE, {"since": since})


def read_late_evictions(rows: Iterable[Row]) -> list[LateEviction]:
    """Read evictions from the rows of `find_late_evictions`."""
    return [LateEviction(*row) for row in rows]


async def count_evictions(work: Work) -> dict[tuple[str, str], int]:
    """Count all evictions by their reason, and by how their runs ended: `saving` where they have not."""
    cause = func.coalesce(Run.cause, "saving")
    query = select(Eviction.reason, cause, func.count()).join(Run, Run.id == Eviction.run_id)
    rows = await work.session.execute(query.group_by(Eviction.reason, cause))
    return {(reason, ended): int(number) for reason, ended, number in rows}
