"""Jobs and runs as the other features ask for them: found, locked, and changed nowhere but in this package."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Select, Text, any_, literal, select, update

from broker import errors
from broker.jobs.rules.model import TERMINAL, JobStatus, check_job_transition
from broker.jobs.tables import Job, JobNote, Run
from broker.ledger import service as ledger
from broker.persistence.database import narrow
from broker.work import Work
from pricing.usage import Usage

__all__ = [
    "Job",
    "JobOrigin",
    "Run",
    "add_usage",
    "find_active_run",
    "find_projects",
    "forget_adapter",
    "forget_adapters",
    "get_job",
    "is_live",
    "list_gpu_types",
    "list_live",
    "list_origins",
    "load_jobs",
    "lock_job",
    "note_adapter",
    "note_charges",
    "select_ids_of_contract",
    "select_jobs",
    "select_runs",
    "select_succeeded_ids",
    "set_status",
]


def select_jobs(
    name: str | None = None,
    label: tuple[str, str] | None = None,
    *,
    search: str | None = None,
    pinned: bool | None = None,
    **wanted: str | None,
) -> Select[Job]:
    """Select the jobs that the actor sees: all, or those with these values.

    `name`: with this in their name, in any case; `search`: in their name or notes, or at the beginning of their id;
    `label`: with this label, of this value; `pinned`: those that are, or are not.
    """
    query = narrow(select(Job), **wanted)
    if search is not None:
        noted = select(JobNote.job_id).where(JobNote.notes.icontains(search, autoescape=True))
        begins = Job.id.startswith(search, autoescape=True)
        query = query.where(Job.name.icontains(search, autoescape=True) | begins | Job.id.in_(noted))
    if pinned is not None:
        pins = select(JobNote.job_id).where(JobNote.pinned_at.is_not(None))
        query = query.where(Job.id.in_(pins) if pinned else Job.id.not_in(pins))
    if label is not None:
        query = query.where(Job.labels[label[0]].astext == label[1])
    return query if name is None else query.where(Job.name.icontains(name, autoescape=True))


async def find_projects(work: Work, job_ids: Collection[str]) -> dict[str, str | None]:
    """Find of which projects jobs are that the actor sees, by their ids; None: of none."""
    if not job_ids:
        return {}
    found = await work.session.execute(select(Job.id, Job.project_id).where(Job.id.in_(job_ids)))
    return {row.id: row.project_id for row in found}


async def read_labels(work: Work, job_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Read the labels of jobs that the actor sees, by their ids."""
    found = await work.session.execute(select(Job.id, Job.labels).where(Job.id.in_(job_ids)))
    return {row.id: row.labels for row in found}


def select_succeeded_ids() -> Select[Any]:
    """Select the ids of jobs that succeeded, for a statement over what they have made."""
    return select(Job.id).where(Job.status == JobStatus.SUCCEEDED.value)


def select_ids_of_contract(contract_id: str) -> Select[Any]:
    """Select the ids of a contract's jobs, for a statement over what they have made."""
    return select(Job.id).where(Job.contract_id == contract_id)


async def require_batch(work: Work, batch_id: str) -> None:
    """Require that the actor sees a job of this batch. Raises: NotFound."""
    if await work.session.scalar(select(Job.id).where(Job.batch_id == batch_id).limit(1)) is None:
        raise errors.NotFound("batch", batch_id)


async def get_job(work: Work, job_id: str) -> Job:
    """Get a job. Raises: NotFound."""
    job = await work.session.get(Job, job_id)
    if job is None:
        raise errors.NotFound("job", job_id)
    return job


async def load_jobs(work: Work, job_ids: Collection[str]) -> Sequence[Job]:
    """Load those of some jobs that the actor sees."""
    return (await work.session.scalars(select(Job).where(Job.id.in_(job_ids)))).all()


@dataclass(frozen=True)
class JobOrigin:
    """Where a job's usage comes from: its project, and the labels that it is told apart by."""

    project_id: str | None
    labels: Mapping[str, str]


async def list_origins(work: Work, job_ids: Collection[str]) -> dict[str, JobOrigin]:
    """List where the usage of jobs comes from, by their ids, of those that the actor sees."""
    query = select(Job.id, Job.project_id, Job.labels).where(Job.id == any_(literal(list(job_ids), ARRAY(Text))))
    return {job_id: JobOrigin(project, labels) for job_id, project, labels in await work.session.execute(query)}


async def list_gpu_types(work: Work, run_ids: Collection[str]) -> dict[str, str | None]:
    """List the GPU types that runs had, by the runs' ids; None of one that no agent told."""
    query = select(Run.id, Run.gpu_type).where(Run.id == any_(literal(list(run_ids), ARRAY(Text))))
    return dict((await work.session.execute(query)).all())


async def is_live(work: Work, job_id: str) -> bool:
    """Tell whether the job exists and may still use something."""
    job = await work.session.get(Job, job_id)
    return job is not None and JobStatus(job.status) not in TERMINAL


async def list_live(work: Work, job_ids: Collection[str]) -> list[str]:
    """List those of some jobs that may still use something."""
    ended = [status.value for status in TERMINAL]
    ids = literal(list(job_ids), ARRAY(Text))
    return list(await work.session.scalars(select(Job.id).where(Job.id == any_(ids), Job.status.not_in(ended))))


async def lock_job(work: Work, job_id: str) -> Job:
    """Lock a job. Every change of a job or its runs takes this lock first, then the contract's.

    Raises: NotFound.
    """
    job = await work.session.get(Job, job_id, with_for_update={"key_share": True}, populate_existing=True)
    if job is None:
        raise errors.NotFound("job", job_id)
    return job


def set_status(work: Work, job: Job, status: JobStatus) -> None:
    """Bring a locked job into another status. Raises: IllegalTransition."""
    check_job_transition(job.id, JobStatus(job.status), status)
    job.status = status.value
    job.pause_reason = None
    if status != JobStatus.QUEUED:
        job.pending_reason, job.expected_start, job.latest_start = None, None, None
    if status not in {JobStatus.QUEUED, JobStatus.DISPATCHED}:
        job.expedited_at = None
    if status in TERMINAL:
        job.finished_at = work.now


def add_usage(job: Job, usage: Usage, captured: ledger.Captured) -> None:
    """Add an interval's usage to a locked job, and note who pays for all of its usage up to now."""
    job.used_gpu_seconds += usage.gpu_seconds
    job.used_tokens += usage.tokens
    note_charges(job, captured)


def note_charges(job: Job, captured: ledger.Captured) -> None:
    """Note on a locked job what its customer is charged for its usage up to now, and what the house bears of it."""
    job.cost_micros, job.borne_micros = captured.cost.micros, captured.borne.micros
    job.borne_gpu_seconds, job.borne_tokens = captured.borne_usage.gpu_seconds, captured.borne_usage.tokens


def note_adapter(job: Job, adapter_id: str) -> None:
    """Note on a locked job which adapter it has made; it shows once the job has succeeded."""
    job.adapter_id = adapter_id


def forget_adapter(job: Job) -> None:
    """Forget on a locked job which adapter it has made: that was deleted."""
    job.adapter_id = None


async def forget_adapters(work: Work, job_ids: Collection[str]) -> None:
    """Forget which adapters jobs have made that are over: they were deleted."""
    await work.session.execute(update(Job).where(Job.id.in_(job_ids)).values(adapter_id=None))


async def find_active_run(work: Work, job_id: str) -> Run | None:
    """Find the run of a job that holds its devices; None where it holds none."""
    query = select(Run).where(Run.job_id == job_id, Run.status.in_(("starting", "running")))
    return (await work.session.scalars(query)).one_or_none()


def select_runs(job_id: str) -> Select[Run]:
    """Select the attempts of a job."""
    return select(Run).where(Run.job_id == job_id)
