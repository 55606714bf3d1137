"""Taking a base model off the offer: not while a job still needs it."""

from sqlalchemy import select

from broker import errors
from broker.base_models import service as base_models
from broker.base_models.service import AddedModel
from broker.jobs.model import TERMINAL
from broker.jobs.tables import Job
from broker.work import Work


async def withdraw_model(work: Work, name: str) -> AddedModel:
    """Take an added model off the offer. Raises: NotFound; IllegalTransition, while jobs with it are not over."""
    added = await base_models.find_added(work, name)
    if added is not None:
        await _require_no_live_job(work, added.name)
    return await base_models.remove_model(work, name)


async def _require_no_live_job(work: Work, base_model: str) -> None:
    over = [status.value for status in TERMINAL]
    query = select(Job.id).where(Job.estimate["base_model"].astext == base_model, Job.status.not_in(over)).limit(3)
    live = (await work.session.scalars(query)).all()
    if live:
        raise errors.IllegalTransition(
            f"{base_model} is needed by jobs that are not over ({', '.join(live)}); cancel them, or wait for their end."
        )
