"""The trace of a job: its traceparent stands with what happened to it, and is read where its way goes on.

It is written where the process that takes a submission traces, and with each start where the one that plans does.
"""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import ARRAY, Text, any_, bindparam, select

from broker import traces
from broker.jobs.tables import Job, JobEvent, Run
from broker.persistence.driver import Command, Row, Statement

KEY = traces.HEADER
KEPT_WITH_JOB, KEPT_WITH_RUN = "submitted", "dispatched"
_TRACEPARENT = JobEvent.data[KEY].as_string()
OF_JOBS = Statement(
    select(JobEvent.job_id, _TRACEPARENT).where(
        JobEvent.job_id == any_(bindparam("job_ids", type_=ARRAY(Text))),
        JobEvent.kind == KEPT_WITH_JOB,
        _TRACEPARENT.is_not(None),
    )
)
OF_RUNS = Statement(
    select(JobEvent.data["run_id"].as_string(), _TRACEPARENT).where(
        JobEvent.job_id == any_(bindparam("job_ids", type_=ARRAY(Text))),
        JobEvent.kind == KEPT_WITH_RUN,
        _TRACEPARENT.is_not(None),
    )
)


def tell_trace(traceparent: str | None) -> dict[str, str]:
    """Tell what an event has of its trace; nothing where there is none."""
    return {} if traceparent is None else {KEY: traceparent}


def find_traces_of_jobs(job_ids: Collection[str]) -> list[Command]:
    """Make the command that finds the traceparents of jobs; none where nothing is traced here."""
    return [Command(OF_JOBS, {"job_ids": list(job_ids)})] if traces.is_on() else []


def find_traces_of_runs(job_ids: Collection[str]) -> list[Command]:
    """Make the command that finds the traceparents of the runs of jobs; none where nothing is traced here."""
    return [Command(OF_RUNS, {"job_ids": list(job_ids)})] if traces.is_on() else []


def read_traces(found: Iterable[Iterable[Row]]) -> Mapping[str, str]:
    """Read the traceparents by job, or by run, from the rows of those commands."""
    return {name: traceparent for rows in found for name, traceparent in rows}


def trace_start(job: Job, run: Run, parent: str | None) -> dict[str, str]:
    """Trace that a job has waited until now, and that this run is handed to its agent; tells what its event has."""
    if not traces.is_on():
        return {}
    told: dict[str, str | int] = {"job.id": job.id, "run.id": run.id, "pool": run.pool, "attempt": run.attempt}
    traces.note_past("wait in queue", parent, job.created_at, {"job.id": job.id, "queue": job.queue})
    return tell_trace(traces.write_ended("dispatch", parent, told))
