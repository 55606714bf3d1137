"""Quotes: made from a configuration and a data set, kept, and honoured until they expire."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from broker import errors
from broker.contracts import service as contracts
from broker.datasets import service as datasets
from broker.persistence.driver import Statement, execute_each
from broker.quotes.budget import QuoteBudget, describe_purchase
from broker.quotes.counting import count_dataset
from broker.quotes.inputs import Ground, look_up
from broker.quotes.model import (
    JobEstimate,
    config_to_json,
    estimate_job,
    hash_config,
    refuse_what_does_not_fit,
    resolve_config,
)
from broker.quotes.prices import price_on_every_plan
from broker.quotes.tables import Quote
from broker.work import Work
from pricing.catalog import get_gpu
from pricing.catalog.profile import BaseModelProfile
from pricing.money import Money
from pricing.plans import PlanName
from pricing.training.config import TrainingConfig

QUOTE_COLUMNS = Quote.__table__.columns.keys()
INSERT_QUOTE = Statement(insert(Quote).inline())


async def create_quote(
    work: Work, raw_config: Mapping[str, Any], dataset_id: str, budget: QuoteBudget | None = None
) -> Quote:
    """Price a job on every plan, and say what a budget buys of it.

    Raises: InvalidTrainingConfig, InvalidRequest, NotFound; NoContractInForce, with a budget.
    """
    config, profile = resolve_config(raw_config)
    quote = await _make_quote(work, await look_up(work, dataset_id), config, profile, budget)
    await _keep(work, [quote])
    return quote


async def create_quotes(
    work: Work, raw_configs: Sequence[Mapping[str, Any]], dataset_id: str
) -> list[Quote | errors.DomainError]:
    """Price many configurations on one data set: for each its quote, or why there is none.

    Raises: NotFound.
    """
    ground = await look_up(work, dataset_id)
    answers: list[Quote | errors.DomainError] = []
    for raw_config in raw_configs:
        try:
            answers.append(await _make_quote(work, ground, *resolve_config(raw_config)))
        except (errors.InvalidTrainingConfig, errors.InvalidRequest) as error:
            answers.append(error)
    await _keep(work, [answer for answer in answers if isinstance(answer, Quote)])
    return answers


async def _keep(work: Work, quotes: Sequence[Quote]) -> None:
    rows = [{column: getattr(quote, column) for column in QUOTE_COLUMNS} for quote in quotes]
    await execute_each(work.connection, INSERT_QUOTE, rows)


async def _make_quote(
    work: Work, ground: Ground, config: TrainingConfig, profile: BaseModelProfile, budget: QuoteBudget | None = None
) -> Quote:
    """Raises: InvalidTrainingConfig, InvalidRequest; NoContractInForce, with a budget."""
    dataset, card, gpu = ground.dataset, ground.card, get_gpu(ground.sku)
    counted = await count_dataset(work, dataset, profile)
    workload = await counted.plan_aside(config)
    estimate = estimate_job(config, profile, workload, gpu, ground.calibration)
    refuse_what_does_not_fit(config, profile, estimate, gpu)
    return Quote(
        id=work.new_id("quo"),
        customer_id=dataset.customer_id,
        dataset_id=dataset.id,
        dataset_sha256=dataset.sha256,
        config=config_to_json(config),
        config_hash=hash_config(config),
        estimate=estimate.to_json(),
        prices=price_on_every_plan(card, estimate.gpu_seconds, estimate.workload.tokens),
        max_cost_buys=await _buy(work, dataset.customer_id, estimate, config, budget),
        rate_card_version=card.version,
        expires_at=work.now + timedelta(seconds=work.settings.quote_seconds),
        created_at=work.now,
    )


async def _buy(
    work: Work, customer_id: str, estimate: JobEstimate, config: TrainingConfig, budget: QuoteBudget | None
) -> dict[str, Any] | None:
    if budget is None:
        return None
    terms = await contracts.find_contract_in_force(work, customer_id, budget.contract_id)
    return describe_purchase(terms, estimate, config, budget.max_cost)


async def get_quote(work: Work, quote_id: str) -> Quote:
    """Raises: NotFound."""
    quote = await work.session.get(Quote, quote_id)
    if quote is None:
        raise errors.NotFound("quote", quote_id)
    return quote


def find_total_p90(quote: Quote, plan: PlanName) -> Money:
    """What the quote shows as the job's price at p90 on a plan."""
    (total,) = (price["total_p90"] for price in quote.prices if price["plan"] == plan.value)
    return Money.from_decimal(total["amount"], total["currency"])


async def accept_quote(work: Work, quote_id: str, raw_config: Mapping[str, Any], dataset_id: str) -> Quote:
    """The quote that a job is submitted with: of the same configuration and the same bytes, by their hashes.

    Raises: NotFound, QuoteExpired, QuoteMismatch, InvalidTrainingConfig.
    """
    quote = await get_quote(work, quote_id)
    if quote.expires_at <= work.now:
        raise errors.QuoteExpired(
            f"Quote {quote_id} expired at {quote.expires_at.isoformat()}; ask for a new one.",
            errors=[errors.FieldError("quote_id", "expired; ask for a new quote")],
        )
    config, _profile = resolve_config(raw_config)
    dataset = await datasets.get_dataset(work, dataset_id)
    if (dataset.customer_id, dataset.sha256) != (quote.customer_id, quote.dataset_sha256):
        raise _mismatch(quote_id, "dataset_id", "is not the quoted data set")
    if quote.config_hash != hash_config(config):
        raise _mismatch(quote_id, "config", "is not the quoted configuration")
    return quote


def _mismatch(quote_id: str, name: str, message: str) -> errors.QuoteMismatch:
    return errors.QuoteMismatch(
        f"{name} {message}; ask for a new quote, or leave quote_id {quote_id} out.",
        errors=[errors.FieldError(name, message)],
    )
