"""Quotes: made from a configuration and a data set, kept, and binding until they expire."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, Select, Text, any_, bindparam, select

from broker import errors
from broker.base_models import service as base_models
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.datasets.service import KeptDataset
from broker.ledger import service as ledger
from broker.persistence.driver import Command, Row, RowFormat, Statement
from broker.persistence.set_writes import command_inserts
from broker.persistence.tenancy import is_seen
from broker.quotes.checking.configuration import JobConfiguration
from broker.quotes.checking.findings import QuotedFindings, refuse_bad_rows
from broker.quotes.checking.labelling import (
    CheckConfiguration,
    Configuration,
    LabelConfiguration,
    resolve_order,
)
from broker.quotes.costing.budget import MaxCostBuys, SpentUnder, compute_max_cost_buys
from broker.quotes.costing.gpu_types import QuotedType, UnfitType
from broker.quotes.costing.prices import PlanQuote, price_on_every_plan
from broker.quotes.counts.counting import CountedDataset, PlannedJob, check_kind, read_counted
from broker.quotes.counts.labelled import count_to_label
from broker.quotes.estimating.estimate import JobEstimate, SharedJob, estimate_job, refuse_beyond, refuse_several
from broker.quotes.estimating.labelling import estimate_check_job, estimate_label_job
from broker.quotes.inputs import QuoteInputs, TypeInputs, fetch_inputs, find_inputs, read_inputs
from broker.quotes.tables import Quote
from broker.work import Services, Work
from pricing.estimate.several_gpus import share_step
from pricing.money import Money
from pricing.rate_card import UnitPrices
from pricing.usage import Unit
from pricing.usage_prices import UsagePrices

__all__ = [
    "Quote",
    "QuoteTerms",
    "QuotedType",
    "create_quotes",
    "find_inputs",
    "find_quotes",
    "get_quote",
    "keep_quotes",
    "list_known",
    "make_quote",
    "make_quote_from",
    "make_quotes",
    "read_quotes",
    "require_acceptable",
    "require_gpus",
    "require_quoted_cover",
    "require_quoted_price",
    "widen_quote",
]

FIND_QUOTES = Statement(
    select(Quote.__table__)
    .where(Quote.id == any_(bindparam("ids", type_=ARRAY(Text))))
    .where(is_seen(Quote.customer_id))
)
QUOTES = RowFormat(Quote)
# What is wrong with one configuration of many, or not ready for it.
REFUSALS = (
    errors.InvalidTrainingConfig,
    errors.InvalidRequest,
    errors.DatasetUnusable,
    errors.TokensBeingCounted,
)

# What a job needs on a GPU type, or its refusal there; and the type that it is quoted on, with all others.
EstimateOn = Callable[[TypeInputs], JobEstimate]
OwnAndOthers = tuple[QuotedType, list[QuotedType | UnfitType]]


@dataclass(frozen=True)
class QuoteTerms:
    """What a quote is asked under: a contract and the job's project where the customer names them, and a sum to spend.

    Grants of a project pay for its jobs alone. `gpus` of one machine are to share the job's steps.
    """

    contract_id: str | None = None
    max_cost: Money | None = None
    project_id: str | None = None
    gpus: int = 1


async def make_quote(
    work: Work, raw_config: Mapping[str, Any], dataset_id: str, terms: QuoteTerms = QuoteTerms()
) -> Quote:
    """Price a job on every plan, and compute how much of it a sum pays for; `keep_quotes` keeps it.

    Raises: InvalidTrainingConfig, InvalidRequest, NotFound, DatasetUnusable, TokensBeingCounted; NoContractInForce,
    for a contract or with a sum.
    """
    return await make_quote_from(work, await fetch_inputs(work, dataset_id), raw_config, dataset_id, terms)


async def make_quote_from(
    work: Work, found: Sequence[Row], raw_config: Mapping[str, Any], dataset_id: str, terms: QuoteTerms
) -> Quote:
    """Make a quote as `make_quote` does, from the rows that `find_inputs` found.

    Where the data set is not there, what is wrong with the configuration is told first.
    """
    try:
        inputs = await read_inputs(work, found, dataset_id, terms.contract_id, terms.project_id)
    except errors.NotFound:
        resolve_order(raw_config, await base_models.read_offer(work))
        raise
    return await _make_quote(work, inputs, resolve_order(raw_config, inputs.offered), terms)


async def create_quotes(
    work: Work, raw_configs: Sequence[Mapping[str, Any]], dataset_id: str, terms: QuoteTerms = QuoteTerms()
) -> list[Quote | errors.DomainError]:
    """Price many configurations on one data set: for each its quote, or why there is none.

    Raises: NotFound; NoContractInForce, for the contract named.
    """
    found = await fetch_inputs(work, dataset_id)
    inputs = await read_inputs(work, found, dataset_id, terms.contract_id, terms.project_id)
    answers: list[Quote | errors.DomainError] = []
    for raw_config in raw_configs:
        try:
            configuration = resolve_order(raw_config, inputs.offered)
            answers.append(await _make_quote(work, inputs, configuration, terms))
        except REFUSALS as error:
            answers.append(error)
    await work.run_together(keep_quotes([answer for answer in answers if not isinstance(answer, Exception)]))
    return answers


async def make_quotes(
    work: Work, raw_configs: Sequence[Mapping[str, Any]], dataset_id: str, terms: QuoteTerms
) -> list[Quote]:
    """Price all of many configurations on one data set; `keep_quotes` keeps them.

    Raises: as `make_quote` does; what is wrong with one is named by its place.
    """
    found = await fetch_inputs(work, dataset_id)
    inputs = await read_inputs(work, found, dataset_id, terms.contract_id, terms.project_id)
    made: list[Quote] = []
    for place, raw_config in enumerate(raw_configs):
        try:
            made.append(await _make_quote(work, inputs, resolve_order(raw_config, inputs.offered), terms))
        except REFUSALS as refusal:
            raise errors.locate(refusal, place) from None
    return made


def keep_quotes(quotes: Iterable[Quote]) -> list[Command]:
    """Make the commands that keep quotes which were only made so far."""
    return command_inserts(Quote, [QUOTES.write(quote) for quote in quotes])


async def _make_quote(work: Work, inputs: QuoteInputs, configuration: Configuration, terms: QuoteTerms) -> Quote:
    """Count, plan, estimate and price a job: each step takes what the last one made.

    Raises: InvalidTrainingConfig, InvalidRequest, DatasetUnusable, TokensBeingCounted; NoContractInForce, with a sum.
    """
    if not isinstance(configuration, JobConfiguration):
        return await _make_aside_quote(work, inputs, configuration, terms)
    check_kind(inputs.dataset, configuration.profile)
    refuse_bad_rows(inputs.dataset, configuration.config)
    counted = await read_counted(work, inputs.dataset, configuration.profile)
    planned = await counted.plan_aside(configuration)
    job = SharedJob(planned, await _plan_shared(counted, planned, terms.gpus), terms.gpus)
    types = _choose_own(*_estimate_on_types(_estimate_training(job, work, inputs), inputs))
    findings = QuotedFindings.of(inputs.dataset, too_long=planned.too_long, cut=planned.cut, bare=planned.bare)
    return await _put_together(work, inputs, configuration, terms, types, findings)


async def _make_aside_quote(
    work: Work, inputs: QuoteInputs, configuration: LabelConfiguration | CheckConfiguration, terms: QuoteTerms
) -> Quote:
    """Quote what is no training: a labelling, by the pictures that it is for, or a check, by all rows or pictures."""
    if terms.gpus > 1:
        raise errors.invalid_field("gpus", "this is done on one GPU; leave it out")
    rows = inputs.dataset.usable_rows
    if isinstance(configuration, LabelConfiguration):
        rows = await count_to_label(work.storage, inputs.dataset, configuration)
    types = _choose_own(*_estimate_on_types(_estimate_aside(configuration, rows, work, inputs), inputs))
    findings = QuotedFindings.of(inputs.dataset, too_long=0, cut=0, bare=0)
    return await _put_together(work, inputs, configuration, terms, types, findings)


async def _put_together(
    work: Work,
    inputs: QuoteInputs,
    configuration: Configuration,
    terms: QuoteTerms,
    types: OwnAndOthers,
    findings: QuotedFindings,
) -> Quote:
    own, others = types
    return QUOTES.make(
        id=work.new_id("quo"),
        customer_id=inputs.dataset.customer_id,
        dataset_id=inputs.dataset.id,
        dataset_sha256=inputs.dataset.sha256,
        config=configuration.to_json(),
        config_hash=configuration.hash,
        estimate=own.estimate,
        prices=own.prices,
        other_types=others,
        expected_starts=inputs.find_starts(terms.gpus, work.now),
        max_cost_buys=await _buy(work, inputs.dataset.customer_id, own.estimate, configuration, terms),
        findings=findings,
        rate_card_version=inputs.card.version,
        expires_at=work.now + timedelta(seconds=work.settings.quote_seconds),
        created_at=work.now,
    )


async def _plan_shared(counted: CountedDataset, planned: PlannedJob, gpus: int) -> PlannedJob:
    """Plan a job as so many devices share its steps; on one it is as it is."""
    if gpus == 1:
        return planned
    configuration = planned.configuration
    return await counted.plan_aside(replace(configuration, config=share_step(configuration.config, gpus)))


async def widen_quote(work: Work, quote: Quote, terms: QuoteTerms, skus: Collection[str]) -> Quote:
    """Quote a quoted job on further types that pools have, open or not, at the prices of now; the others stay.

    It is a quote of its own, which is not kept yet; what no pool has is not among its types.
    Raises: as `make_quote` does, but where the job fits on none: then it says so.
    """
    found = await fetch_inputs(work, quote.dataset_id)
    inputs = await read_inputs(work, found, quote.dataset_id, terms.contract_id, terms.project_id, closed_too=True)
    further = replace(inputs, types=[each for each in inputs.types if each.gpu.sku in skus])
    configuration = resolve_order(quote.config, inputs.offered)
    if not isinstance(configuration, JobConfiguration):
        estimate = _estimate_aside(configuration, quote.estimate.rows, work, inputs)
    else:
        counted = await read_counted(work, inputs.dataset, configuration.profile)
        planned = await counted.plan_aside(configuration)
        job = SharedJob(planned, await _plan_shared(counted, planned, terms.gpus), terms.gpus)
        estimate = _estimate_training(job, work, inputs)
    added, _refusals = _estimate_on_types(estimate, further)
    names = {each.sku for each in added}
    before = quote.other_types or ()
    kept = {name: getattr(quote, name) for name in QUOTES.names}
    return QUOTES.make(
        **kept
        | {
            "id": work.new_id("quo"),
            "other_types": [*(each for each in before if each.sku not in names), *added],
            "expires_at": work.now + timedelta(seconds=work.settings.quote_seconds),
            "created_at": work.now,
        }
    )


def _estimate_training(job: SharedJob, work: Work, inputs: QuoteInputs) -> EstimateOn:
    most_gpu_hours = work.settings.max_job_gpu_hours

    def estimate(on: TypeInputs) -> JobEstimate:
        refuse_several(job.gpus, on.largest, on.gpu)
        found = estimate_job(job, on.gpu, inputs.calibration)
        refuse_beyond(job.planned, found, most_gpu_hours)
        return found

    return estimate


def _estimate_aside(
    configuration: LabelConfiguration | CheckConfiguration, rows: int, work: Work, inputs: QuoteInputs
) -> EstimateOn:
    is_text, calibration = inputs.dataset.kind == "text", inputs.calibration
    if isinstance(configuration, CheckConfiguration):
        return lambda on: estimate_check_job(rows, on.gpu, calibration, is_text=is_text)
    most_gpu_hours = work.settings.max_job_gpu_hours
    return lambda on: estimate_label_job(configuration, rows, on.gpu, calibration, most_gpu_hours)


def _estimate_on_types(
    estimate: EstimateOn, inputs: QuoteInputs
) -> tuple[list[QuotedType | UnfitType], list[errors.InvalidTrainingConfig]]:
    """Estimate and price a job on each GPU type, or say why it does not fit; the refusals come once more behind."""
    found: list[QuotedType | UnfitType] = []
    refusals: list[errors.InvalidTrainingConfig] = []
    for each in inputs.types:
        try:
            found.append(_price_type(replace(estimate(each), machine_load=each.machine_load), each))
        except errors.InvalidTrainingConfig as refusal:
            refusals.append(refusal)
            found.append(UnfitType(each.gpu.sku, refusal.detail))
    return found, refusals


def _choose_own(
    found: Sequence[QuotedType | UnfitType], refusals: Sequence[errors.InvalidTrainingConfig]
) -> OwnAndOthers:
    """Choose the first type that a job fits on; the others come behind it.

    Raises: InvalidTrainingConfig, where it fits on none: what is wrong on the first of them.
    """
    own = next((each for each in found if isinstance(each, QuotedType)), None)
    if own is None:
        raise refusals[0]
    return own, [each for each in found if each is not own]


def _price_type(estimate: JobEstimate, on: TypeInputs) -> QuotedType:
    return QuotedType(estimate, price_on_every_plan(on.prices.plans.values(), estimate.gpu_seconds, estimate.tokens))


async def _buy(
    work: Work, customer_id: str, estimate: JobEstimate, configuration: Configuration, asked: QuoteTerms
) -> MaxCostBuys | None:
    if asked.max_cost is None:
        return None
    terms = await contracts.get_contract_in_force(work, customer_id, asked.contract_id)
    prices = await ledger.read_usage_prices(work, terms, estimate.sku, asked.project_id)
    spent_under = SpentUnder(terms.id, terms.at(work.now).plan, prices)
    rows_per_step = configuration.config.rows_per_step if isinstance(configuration, JobConfiguration) else 1
    return compute_max_cost_buys(spent_under, estimate, rows_per_step, asked.max_cost)


def select_quotes(customer_id: str) -> Select[Quote]:
    """Select the quotes of a customer."""
    return select(Quote).where(Quote.customer_id == customer_id)


async def get_quote(work: Work, quote_id: str) -> Quote:
    """Get a quote. Raises: NotFound."""
    quote = await work.session.get(Quote, quote_id)
    if quote is None:
        raise errors.NotFound("quote", quote_id)
    return quote


def find_quotes(quote_ids: Collection[str], *, seen_by: Collection[str] | None) -> Command:
    """Make the command that finds quotes; see `read_quotes`."""
    return Command(FIND_QUOTES, {"ids": sorted(quote_ids), "seen_by": seen_by}, finds_nothing=not quote_ids)


def list_known(services: Services, quote_ids: Collection[str]) -> dict[str, Quote]:
    """List those quotes, by their ids, that were read before: a quote never changes, and is never deleted."""
    known = {quote_id: services.quotes.find(Quote, quote_id) for quote_id in quote_ids}
    return {quote_id: quote for quote_id, quote in known.items() if quote is not None}


def read_quotes(services: Services, rows: Sequence[Row]) -> dict[str, Quote]:
    """Read the quotes that were found, by their ids, and keep them as known."""
    return {quote.id: services.quotes.keep(quote.id, quote, kind=Quote) for quote in map(QUOTES.read, rows)}


def require_acceptable(
    quote: Quote, configuration: Configuration, dataset_id: str, dataset: KeptDataset | None, moment: datetime
) -> None:
    """Refuse a quote that a job names and that is of another configuration or other bytes, or has expired. Pure.

    Raises: QuoteExpired, NotFound, QuoteMismatch.
    """
    if quote.expires_at <= moment:
        raise errors.QuoteExpired(
            f"Quote {quote.id} expired at {quote.expires_at.isoformat()}; ask for a new one.",
            errors=[errors.FieldError("quote_id", "expired; ask for a new quote")],
        )
    if dataset is None:
        raise errors.NotFound("dataset", dataset_id)
    if (dataset.customer_id, dataset.sha256) != (quote.customer_id, quote.dataset_sha256):
        raise _mismatch(quote.id, "dataset_id", "is not the quoted data set")
    if quote.config_hash != configuration.hash:
        raise _mismatch(quote.id, "config", "is not the quoted configuration")


def require_gpus(quote: Quote, gpus: int | None) -> None:
    """Refuse a quote of another number of GPUs than a job names, if it does. Pure. Raises: QuoteMismatch."""
    if gpus is not None and gpus != quote.estimate.gpus:
        raise _mismatch(quote.id, "gpus", f"is not the quoted number, {quote.estimate.gpus}")


def require_quoted_price(quote: Quote, on: QuotedType, terms: ContractTerms, moment: datetime) -> PlanQuote:
    """Get the price that a quote shows on a GPU type and a contract's plan; the contract must charge by these prices.

    Raises: QuoteStale.
    """
    prices = terms.prices_at(moment, on.sku)
    overage = terms.overage_prices_at(moment, on.sku).per_gpu_hour
    shown = on.price_on(prices.plan)
    quoted = shown.charged.prices
    if not quoted.charge_as(prices) or shown.charged.overage_per_gpu_hour != overage:
        raise errors.QuoteStale(
            f"Quote {quote.id} shows {_describe(quoted, shown.charged.overage_per_gpu_hour)} on {prices.plan}; "
            f"contract {terms.id} charges {_describe(prices, overage)}. Ask for a new quote with this contract_id.",
            errors=[errors.FieldError("quote_id", f"its prices are not those of contract {terms.id}")],
        )
    return shown


def require_quoted_cover(quote: Quote, on: QuotedType, shown: PlanQuote, prices: UsagePrices) -> None:
    """Refuse a quote whose job has come to cost more than it shows, since grants cover less of it, or dearer ones do.

    `prices` are those of now on the GPU type. Where grants cover more the job is cheaper, and the quote holds as it is.
    Raises: QuoteStale.
    """
    need = {Unit.GPU_SECONDS: on.estimate.gpu_seconds.p90, Unit.TOKENS: on.estimate.tokens}
    if prices.cost_more_than(shown.charged.of_usage, need):
        now = prices.price_lines(need).format_amount()
        raise errors.QuoteStale(
            f"Quote {quote.id} shows {shown.total_p90.format_amount()} at p90; by what grants cover now, and at which "
            f"prices, the job comes to {now}. Ask for a new quote.",
            errors=[errors.FieldError("quote_id", "grants cover less of the job than when it was quoted, or dearer")],
        )


def _describe(prices: UnitPrices, overage_per_gpu_hour: Decimal) -> str:
    beyond = "" if overage_per_gpu_hour == prices.per_gpu_hour else f" ({overage_per_gpu_hour} beyond the grants)"
    return f"{prices.per_gpu_hour} per GPU-hour{beyond} and {prices.per_token} per token"


def _mismatch(quote_id: str, name: str, message: str) -> errors.QuoteMismatch:
    return errors.QuoteMismatch(
        f"{name} {message}; ask for a new quote, or leave quote_id {quote_id} out.",
        errors=[errors.FieldError(name, message)],
    )
