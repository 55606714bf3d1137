"""What may not go while a job still needs it: a base model on offer, a data set."""

from sqlalchemy import ColumnElement, select

from broker import errors
from broker.base_models import service as base_models
from broker.base_models.service import AddedModel
from broker.datasets import service as datasets
from broker.jobs.rules.model import TERMINAL
from broker.jobs.tables import Job
from broker.work import Work


async def withdraw_model(work: Work, name: str) -> AddedModel:
    """Take an added model off the offer. Raises: NotFound; IllegalTransition, while jobs with it are not over."""
    added = await base_models.find_added(work, name)
    if added is not None:
        await _require_no_live_job(work, added.name, Job.estimate["base_model"].astext == added.name)
    return await base_models.remove_model(work, name)


async def delete_dataset(work: Work, dataset_id: str) -> None:
    """Delete a data set: its files go, its row stays for the jobs that were trained on it.

    Raises: NotFound; IllegalTransition, while jobs on it are not over.
    """
    dataset = await datasets.lock_for_deletion(work, dataset_id)
    await _require_no_live_job(work, f"Data set {dataset_id}", Job.dataset_id == dataset_id)
    dataset.deleted_at = work.now


async def is_needed(work: Work, dataset_id: str) -> bool:
    """Tell whether a job that is not over needs a data set."""
    over = [status.value for status in TERMINAL]
    live = select(Job.id).where(Job.dataset_id == dataset_id, Job.status.not_in(over)).limit(1)
    return await work.session.scalar(live) is not None


async def _require_no_live_job(work: Work, what: str, needs_it: ColumnElement[bool]) -> None:
    over = [status.value for status in TERMINAL]
    live = (await work.session.scalars(select(Job.id).where(needs_it, Job.status.not_in(over)).limit(3))).all()
    if live:
        raise errors.IllegalTransition(
            f"{what} is needed by jobs that are not over ({', '.join(live)}); cancel them, or wait for their end."
        )
