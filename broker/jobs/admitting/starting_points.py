"""What a job goes on from: an adapter that another job of the same customer has made, and that fits."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, SQLColumnExpression, literal, select

from broker import errors
from broker.base_models import service as base_models
from broker.jobs.rules.model import TERMINAL, JobStatus
from broker.jobs.tables import Job
from broker.quotes.checking.refusal import refuse_fields
from broker.work import Work
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
from pricing.training.continuing import list_misfits
from pricing.training.job_config import parse_job_config

KEY = "init_from"


def names_start(configs: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether any of some configurations goes on from an adapter."""
    return any(config.get(KEY) is not None for config in configs)


async def require_starting_points(work: Work, customer_id: str, configs: Sequence[Mapping[str, Any]]) -> None:
    """Require that there is each adapter that configurations go on from, that it is the customer's, and fits.

    A configuration that is wrong in another way is let through: its quote tells. Raises: InvalidTrainingConfig, which
    names the place of the configuration where there are several.
    """
    for place, config in enumerate(configs):
        if config.get(KEY) is None:
            continue
        try:
            await _require_fit(work, customer_id, config)
        except errors.InvalidTrainingConfig as refusal:
            raise (errors.locate(refusal, place) if len(configs) > 1 else refusal) from None


async def _require_fit(work: Work, customer_id: str, config: Mapping[str, Any]) -> None:
    try:
        ours, profile = parse_job_config(config, await base_models.read_offer(work))
    except ConfigInvalid:
        return
    made = (Job.adapter_id == ours.init_from, Job.customer_id == customer_id)
    query = select(Job.config).where(*made, Job.status == JobStatus.SUCCEEDED.value)
    theirs = await work.session.scalar(query)
    if theirs is None:
        message = f"there is no adapter {ours.init_from} of yours: it was deleted, or never was"
        raise refuse_fields([errors.FieldError(f"config.{KEY}", message)])
    problems = list_misfits(parse_training_config(theirs), ours, profile)
    if problems:
        raise refuse_fields([errors.FieldError(f"config.{each.field}", each.message) for each in problems])


async def list_goers_on(work: Work, adapter_id: str) -> list[str]:
    """List the jobs that are not over and go on from an adapter."""
    return list(await work.session.scalars(select_goers_on(literal(adapter_id)).order_by(Job.id).limit(10)))


def select_goers_on(adapter_id: SQLColumnExpression[str]) -> Select[str]:
    """Select the jobs that are not over and go on from an adapter."""
    over = [status.value for status in TERMINAL]
    return select(Job.id).where(Job.config[KEY].astext == adapter_id, Job.status.not_in(over))
