"""What a customer says of its job once it is there: another name, notes, and what of it is pinned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from broker import errors
from broker.http.versions import require_version
from broker.jobs.events import record_event
from broker.jobs.service import lock_job
from broker.jobs.tables import Job, JobNote
from broker.work import STAFF, Work

# Pinned jobs are listed before all others: of more than these nobody sees what is pinned.
MOST_PINNED = 100


@dataclass(frozen=True)
class Annotation:
    """What is changed of `name`, `notes`, `pinned` and `pinned_steps`, by these names.

    What is left out stays, None takes it away.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)


async def find_note(work: Work, job_id: str) -> JobNote | None:
    """Find what is noted of a job; None where nothing ever was."""
    return await work.session.get(JobNote, job_id)


def list_note_settings(job: Job, note: JobNote | None) -> dict[str, Any]:
    """List what the customer says of a job. Pure."""
    is_pinned = note is not None and note.pinned_at is not None
    told = (
        {"notes": None, "pinned_steps": []}
        if note is None
        else {"notes": note.notes, "pinned_steps": note.pinned_steps}
    )
    return {"name": job.name, "pinned": is_pinned, **told}


async def annotate_job(work: Work, job_id: str, annotation: Annotation, seen: str | None = None) -> Job:
    """Change what a job is called, what is noted of it and whether it is pinned, whatever its status.

    `seen`: the version of these that was looked at.
    Raises: NotFound; Forbidden, for staff; IllegalTransition, where too many are pinned; VersionMismatch.
    """
    if work.actor.role in STAFF:
        raise errors.Forbidden("What a job is called, and its notes, are for its customer to say.")
    job = await lock_job(work, job_id)
    if seen is not None:
        settings = list_note_settings(job, await find_note(work, job_id))
        require_version(seen, settings, annotation.changes, what=("job", job_id))
    told = dict[str, Any]()
    if "name" in annotation.changes and annotation.changes["name"] != job.name:
        told |= {"before": job.name, "name": annotation.changes["name"]}
        job.name = annotation.changes["name"]
    told |= await _change_note(work, job, annotation.changes)
    if told:
        record_event(work, job, "annotated", told)
    return job


async def _change_note(work: Work, job: Job, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change notes and pin; returns what the event tells: that notes changed, not what they say.

    That the samples of a step were pinned is nothing that happened to the job.
    """
    note = await find_note(work, job.id) or JobNote(job_id=job.id, customer_id=job.customer_id, pinned_steps=[])
    told = dict[str, Any]()
    if "notes" in changes and changes["notes"] != note.notes:
        note.notes = changes["notes"]
        told["notes"] = "changed" if note.notes else "removed"
    if "pinned" in changes and changes["pinned"] != (note.pinned_at is not None):
        note.pinned_at = await _pin(work, job.customer_id) if changes["pinned"] else None
        told["pinned"] = note.pinned_at is not None
    if "pinned_steps" in changes and changes["pinned_steps"] != note.pinned_steps:
        note.pinned_steps = changes["pinned_steps"]
    if told or work.session.is_modified(note):
        work.session.add(note)
        await work.session.flush()
    return told


async def _pin(work: Work, customer_id: str) -> datetime:
    """Give the moment of a new pin. Raises: IllegalTransition."""
    pinned = select(func.count()).where(JobNote.customer_id == customer_id, JobNote.pinned_at.is_not(None))
    if (await work.session.scalar(pinned) or 0) >= MOST_PINNED:
        raise errors.IllegalTransition(f"{MOST_PINNED} jobs are pinned already; unpin one first.")
    return work.now
