"""What happened to a job: recorded in the past tense, never changed."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, any_, bindparam, select

from broker.jobs.tables import Job, JobEvent
from broker.persistence.documents import json_integer
from broker.persistence.driver import Command, Statement
from broker.persistence.set_writes import command_inserts
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Work, list_seen, run_for_all

log = logging.getLogger(__name__)

FREQUENT = frozenset({"validated", "sampled", "checkpoint_saved"})
TOLD = ("run_id", "pool", "attempt", "reason", "cause", "queue", "step")
COLLECTED = "collected_events"

TELLERS = Statement(
    select(JobEvent.data["run_id"].as_string()).where(
        JobEvent.job_id == any_(bindparam("job_ids", type_=ARRAY(Text))),
        JobEvent.kind == bindparam("kind", type_=Text),
        is_seen(JobEvent.customer_id),
    )
)
EventRow = dict[str, Any]


def record_event(work: Work, job: Job, kind: str, data: dict[str, Any]) -> None:
    """Record what happened to a locked job; the log tells it, too."""
    log_event(job, kind, data)
    row, collected = write_event(job, kind, data, work.now), work.session.info.get(COLLECTED)
    if collected is None:
        work.session.add(JobEvent(**row))
    else:
        collected.append(row)


@contextmanager
def collect_events(works: Iterable[Work]) -> Iterator[list[EventRow]]:
    """Collect what units of work of one transaction record meanwhile: the caller writes it (`command_events`).

    A session writes each event by itself, before the next question that it is asked.
    """
    collected: list[EventRow] = []
    infos = [work.session.info for work in works]
    for info in infos:
        info[COLLECTED] = collected
    try:
        yield collected
    finally:
        for info in infos:
            info.pop(COLLECTED, None)


def command_events(events: Iterable[EventRow]) -> list[Command]:
    """Make the command that writes events together, in their order."""
    return command_inserts(JobEvent, list(events))


def write_event(job: Job, kind: str, data: Mapping[str, Any], moment: datetime) -> EventRow:
    """Write the row of what happened to a job."""
    return {"customer_id": job.customer_id, "job_id": job.id, "kind": kind, "data": dict(data), "created_at": moment}


def log_event(job: Job, kind: str, data: Mapping[str, Any]) -> None:
    log.log(logging.DEBUG if kind in FREQUENT else logging.INFO, "%s %s", job.id, kind, extra=_tell(job, data))


def _tell(job: Job, data: Mapping[str, Any]) -> dict[str, Any]:
    """Tell of an event what a line has room for: ids and other short words, not samples or messages."""
    short = {key: data[key] for key in TOLD if key in data}
    return {"job_id": job.id, "customer_id": job.customer_id, **short}


async def list_events(work: Work, job_id: str, *, after: int, limit: int) -> list[JobEvent]:
    """List a job's events with a higher id than `after`, oldest first."""
    query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.id > after).order_by(JobEvent.id).limit(limit)
    return list((await work.session.scalars(query)).all())


async def list_tellers(works: Collection[Work], job_ids: Collection[str], kind: str) -> set[str]:
    """List the runs of these jobs that an event of one kind tells of, asked by units of work of one transaction."""
    asked = {"job_ids": list(job_ids), "kind": kind, SEEN_BY.key: list_seen(works)}
    (found,) = await run_for_all(works, [Command(TELLERS, asked)])
    return {run_id for (run_id,) in found}


async def list_observed(
    work: Work, job_id: str, run_id: str, kinds: Collection[str]
) -> set[tuple[str, int, str | None]]:
    """List the observations of a run that are recorded already: kind, step and prompt of each."""
    collected = work.session.info.get(COLLECTED, ())
    theirs = [each for each in collected if each["job_id"] == job_id and each["kind"] in kinds]
    unwritten = {
        (each["kind"], told["step"], told.get("prompt"))
        for each in theirs
        for told in [each["data"]]
        if told["run_id"] == run_id
    }
    data = JobEvent.data
    query = select(JobEvent.kind, json_integer(data["step"]), data["prompt"].as_string()).where(
        JobEvent.job_id == job_id, JobEvent.kind.in_(kinds), data["run_id"].as_string() == run_id
    )
    return unwritten | {(kind, step, prompt) for kind, step, prompt in await work.session.execute(query)}
