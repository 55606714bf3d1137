"""Quotes: made from a configuration and a data set, kept, and binding until they expire."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from broker import errors
from broker.base_models import service as base_models
from broker.contracts import service as contracts
from broker.datasets import service as datasets
from broker.persistence.driver import Statement, execute_each
from broker.quotes.budget import MaxCostBuys, QuoteBudget, compute_max_cost_buys
from broker.quotes.configuration import JobConfiguration, resolve_configuration
from broker.quotes.counting import count_dataset
from broker.quotes.estimate import JobEstimate, estimate_job
from broker.quotes.inputs import QuoteInputs, read_inputs
from broker.quotes.prices import price_on_every_plan
from broker.quotes.tables import Quote
from broker.work import Work

__all__ = ["Quote", "accept_quote", "create_quote", "create_quotes", "get_quote"]

QUOTE_COLUMNS = Quote.__table__.columns.keys()
INSERT_QUOTE = Statement(insert(Quote).inline())


async def create_quote(
    work: Work, raw_config: Mapping[str, Any], dataset_id: str, budget: QuoteBudget | None = None
) -> Quote:
    """Price a job on every plan, and compute how much of it a budget pays for.

    Raises: InvalidTrainingConfig, InvalidRequest, NotFound; NoContractInForce, with a budget.
    """
    inputs = await read_inputs(work, dataset_id)
    quote = await _make_quote(work, inputs, resolve_configuration(raw_config, inputs.offered), budget)
    await _keep(work, [quote])
    return quote


async def create_quotes(
    work: Work, raw_configs: Sequence[Mapping[str, Any]], dataset_id: str
) -> list[Quote | errors.DomainError]:
    """Price many configurations on one data set: for each its quote, or why there is none.

    Raises: NotFound.
    """
    inputs = await read_inputs(work, dataset_id)
    answers: list[Quote | errors.DomainError] = []
    for raw_config in raw_configs:
        try:
            answers.append(await _make_quote(work, inputs, resolve_configuration(raw_config, inputs.offered)))
        except (errors.InvalidTrainingConfig, errors.InvalidRequest) as error:
            answers.append(error)
    await _keep(work, [answer for answer in answers if isinstance(answer, Quote)])
    return answers


async def _keep(work: Work, quotes: Sequence[Quote]) -> None:
    rows = [{column: getattr(quote, column) for column in QUOTE_COLUMNS} for quote in quotes]
    await execute_each(work.connection, INSERT_QUOTE, rows)


async def _make_quote(
    work: Work, inputs: QuoteInputs, configuration: JobConfiguration, budget: QuoteBudget | None = None
) -> Quote:
    """Count, plan, estimate and price a job: each step takes what the last one made.

    Raises: InvalidTrainingConfig, InvalidRequest; NoContractInForce, with a budget.
    """
    counted = await count_dataset(work, inputs.dataset, configuration.profile)
    planned = await counted.plan_aside(configuration)
    estimate = estimate_job(planned, inputs.gpu, inputs.calibration)
    return Quote(
        id=work.new_id("quo"),
        customer_id=inputs.dataset.customer_id,
        dataset_id=inputs.dataset.id,
        dataset_sha256=inputs.dataset.sha256,
        config=configuration.to_json(),
        config_hash=configuration.compute_hash(),
        estimate=estimate,
        prices=price_on_every_plan(inputs.card.prices_by_plan().values(), estimate.gpu_seconds, estimate.tokens),
        max_cost_buys=await _buy(work, inputs.dataset.customer_id, estimate, configuration, budget),
        rate_card_version=inputs.card.version,
        expires_at=work.now + timedelta(seconds=work.settings.quote_seconds),
        created_at=work.now,
    )


async def _buy(
    work: Work, customer_id: str, estimate: JobEstimate, configuration: JobConfiguration, budget: QuoteBudget | None
) -> MaxCostBuys | None:
    if budget is None:
        return None
    terms = await contracts.get_contract_in_force(work, customer_id, budget.contract_id)
    return compute_max_cost_buys(terms.id, terms.prices_at(work.now), estimate, configuration.config, budget.max_cost)


async def get_quote(work: Work, quote_id: str) -> Quote:
    """Get a quote. Raises: NotFound."""
    quote = await work.session.get(Quote, quote_id)
    if quote is None:
        raise errors.NotFound("quote", quote_id)
    return quote


async def accept_quote(work: Work, quote_id: str, raw_config: Mapping[str, Any], dataset_id: str) -> Quote:
    """Accept the quote that a job is submitted with: of the same configuration and the same bytes, by their hashes.

    Raises: InvalidTrainingConfig, NotFound, QuoteExpired, QuoteMismatch.
    """
    configuration = resolve_configuration(raw_config, await base_models.read_offer(work))
    quote = await get_quote(work, quote_id)
    if quote.expires_at <= work.now:
        raise errors.QuoteExpired(
            f"Quote {quote_id} expired at {quote.expires_at.isoformat()}; ask for a new one.",
            errors=[errors.FieldError("quote_id", "expired; ask for a new quote")],
        )
    dataset = await datasets.get_dataset(work, dataset_id)
    if (dataset.customer_id, dataset.sha256) != (quote.customer_id, quote.dataset_sha256):
        raise _mismatch(quote_id, "dataset_id", "is not the quoted data set")
    if quote.config_hash != configuration.compute_hash():
        raise _mismatch(quote_id, "config", "is not the quoted configuration")
    return quote


def _mismatch(quote_id: str, name: str, message: str) -> errors.QuoteMismatch:
    return errors.QuoteMismatch(
        f"{name} {message}; ask for a new quote, or leave quote_id {quote_id} out.",
        errors=[errors.FieldError(name, message)],
    )
