"""What a job, or a month of jobs, will cost."""

from typing import Annotated

from fastapi import Query

from broker.contracts.reading.prices import get_price_list
from broker.datasets.service import get_dataset
from broker.http.caller import Caller
from broker.http.edge import BillingCaller, BillingReader, QuotingCaller, feature_router
from broker.http.languages import Saying
from broker.identity.service import require_acting
from broker.quotes import offers, service
from broker.quotes.counts.count_needs import meet_count_needs
from broker.quotes.shapes.offer_schemas import QuoteOffersOut
from broker.quotes.shapes.price_schemas import PlanComparisonListOut, PlanComparisonOut
from broker.quotes.shapes.schemas import QuoteAnswerOut, QuoteBatchIn, QuoteBatchOut, QuoteIn, QuoteOut
from broker.templates.service import fill_in_configs
from pricing.quote import compare_plans

router = feature_router("", "quotes")


@router.post("/quotes", status_code=201)
async def create_quote(caller: QuotingCaller, say: Saying, body: QuoteIn) -> QuoteOut:
    """Quote a job: what it will need, its price on every plan, and how much of it `max_cost` pays for.

    A large data set is counted first, once for each tokenizer: until then the answer is 503 `tokens-being-counted`,
    with how far it is and when to ask again.
    """
    require_acting(caller.actor)
    body = await _fill_in(caller, body)
    await meet_count_needs(caller.look, [body.config], body.dataset_id)
    inputs = service.find_inputs(caller.services, body.dataset_id, seen_by=caller.actor.confined_to)
    work, (found,) = await caller.begin_with([inputs])
    quote = await service.make_quote_from(work, found, body.config, body.dataset_id, body.read_terms())
    answer = QuoteOut.of(quote, say)
    await caller.write_last(service.keep_quotes([quote]))
    return answer


async def _fill_in(caller: Caller, body: QuoteIn) -> QuoteIn:
    """Fill in the configuration from the template that is named, if one is."""
    if body.template is None:
        return body
    async with caller.look() as work:
        customer_id = work.confined_to or (await get_dataset(work, body.dataset_id)).customer_id
        filled = await fill_in_configs(work, customer_id, body.template, body.project_id, [body.config])
    return body.model_copy(update={"config": filled.configs[0], "project_id": filled.project_id})


@router.post("/quotes/batch")
async def create_quotes(caller: QuotingCaller, say: Saying, body: QuoteBatchIn) -> QuoteBatchOut:
    """Quote up to 100 configurations on one data set at once: for each its quote, or the problem with it."""
    require_acting(caller.actor)
    await meet_count_needs(caller.look, body.configs, body.dataset_id)
    work = await caller.begin()
    answers = await service.create_quotes(work, body.configs, body.dataset_id, body.read_terms())
    return QuoteBatchOut(data=[QuoteAnswerOut.of(answer, say) for answer in answers])


@router.get("/quotes/{quote_id}")
async def get_quote(work: BillingReader, say: Saying, quote_id: str) -> QuoteOut:
    return QuoteOut.of(await service.get_quote(work, quote_id), say)


@router.get("/quotes/{quote_id}/offers")
async def list_offers(
    caller: BillingCaller,
    quote_id: str,
    gpu: Annotated[
        str | None, Query(description="Only this device type, which an open pool must have.", examples=["rtx-4090"])
    ] = None,
) -> QuoteOffersOut:
    """List the quoted job on every device type, and the fastest and cheapest ways to do its very steps."""
    async with caller.look() as work:
        quote = await service.get_quote(work, quote_id)
    await meet_count_needs(caller.look, [quote.config], quote.dataset_id)
    work = await caller.begin()
    return QuoteOffersOut.of(await offers.offer_quote(work, quote_id, gpu))


@router.get("/plan-comparison")
async def compare(
    work: BillingReader,
    gpu_hours: Annotated[int, Query(ge=0, le=1_000_000, description="GPU-hours of one run.", examples=[30])],
    tokens: Annotated[int, Query(ge=0, le=10**12, description="Tokens of one run.", examples=[50_000])],
    runs: Annotated[int, Query(ge=1, le=100_000, description="Equal runs a month.", examples=[20])] = 1,
    contract_id: Annotated[
        str | None, Query(description="The contract that speaks for its plan, as in a quote.", examples=["con_01k"])
    ] = None,
    gpu: Annotated[
        str | None,
        Query(
            description="The device type of the hours; default: one that no price is multiplied for.", examples=["h200"]
        ),
    ] = None,
) -> PlanComparisonListOut:
    """Compare what a month of equal runs costs on every plan with its price on demand.

    A plan that the customer has a contract on is priced as that contract charges, as in a quote; the others, as signing
    now would give.
    """
    listed = await get_price_list(work, contract_id, None if gpu is None else offers.find_sku(gpu))
    prices = {plan: charged.prices for plan, charged in listed.plans.items()}
    month = compare_plans(prices, gpu_seconds=gpu_hours * 3600, tokens=tokens, runs=runs)
    data = [PlanComparisonOut.of(price, listed.plans[price.plan]) for price in month]
    return PlanComparisonListOut(data=data, rate_card_version=listed.card.version)
