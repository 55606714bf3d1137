"""A quoted job on every GPU type, and the fastest and cheapest ways to run its very steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker import __version__, errors
from broker.calibrations import service as calibrations
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.datasets import service as datasets
from broker.quotes.configuration import JobConfiguration, resolve_configuration
from broker.quotes.counting import count_dataset
from broker.quotes.prices import PlanQuote, price_on_every_plan
from broker.quotes.service import get_quote
from broker.work import Work
from pricing.catalog import UnknownGpu, get_gpu, load_gpus
from pricing.estimate.offers import Offer, OfferedJob, find_frontier
from pricing.quote import compare_plans
from pricing.rate_card import RateCard
from pricing.training.config import TrainingConfig
from pricing.training.workload import Workload


@dataclass(frozen=True)
class PricedOffer:
    """One way to run a quoted job, with its price on every plan; `available`: an open pool has such a device."""

    offer: Offer
    prices: list[PlanQuote]
    available: bool


@dataclass(frozen=True)
class QuoteOffers:
    """`offers` are the quoted configuration on each type it fits on; `frontier` other ways to do the same steps on the
    types that pools have, the fastest first and the cheapest last.
    """

    offers: list[PricedOffer]
    frontier: list[PricedOffer]


async def offer_quote(work: Work, quote_id: str, gpu: str | None = None) -> QuoteOffers:
    """Estimate and price a quoted job anew, by the calibration and the rate card of now.

    `gpu` narrows it to one type, which a pool must have.
    Raises: NotFound, InvalidRequest.
    """
    quote = await get_quote(work, quote_id)
    available = await capacity.list_skus(work)
    skus = _choose_skus(available, gpu)
    configuration = resolve_configuration(quote.config)
    config, profile = configuration.config, configuration.profile
    counted = await count_dataset(work, await datasets.get_dataset(work, quote.dataset_id), profile)
    calibration = await calibrations.get_newest_calibration(work)
    card = await contracts.rate_card_on(work, work.now.date())

    def plan(variant: TrainingConfig) -> Workload:
        return counted.plan(JobConfiguration(variant, profile)).workload

    def priced(offers: Sequence[Offer]) -> list[PricedOffer]:
        return [_price(offer, card, tokens, available) for offer in offers]

    tokens = plan(config).tokens
    job = OfferedJob(profile, config, plan, calibration, __version__)
    offers = job.list_offers([get_gpu(sku) for sku in skus])
    variants = job.list_variants([get_gpu(sku) for sku in skus if sku in available])
    return QuoteOffers(priced(offers), priced(find_frontier(variants, [_cost_micros(each, card) for each in variants])))


def _choose_skus(available: Sequence[str], gpu: str | None) -> list[str]:
    if gpu is None:
        return list(load_gpus())
    try:
        sku = get_gpu(gpu).sku
    except UnknownGpu as error:
        raise errors.invalid_field("gpu", str(error)) from error
    if sku not in available:
        raise errors.invalid_field("gpu", f"no open pool has {sku}; there are: {', '.join(available)}")
    return [sku]


def _cost_micros(offer: Offer, card: RateCard) -> int:
    """Price the GPU-seconds on demand: the other plans keep the order, and tokens cost the same everywhere."""
    on_demand, *_ = compare_plans(card, gpu_seconds=offer.run.gpu_seconds.p50, tokens=0)
    return on_demand.total.micros


def _price(offer: Offer, card: RateCard, tokens: int, available: Sequence[str]) -> PricedOffer:
    prices = price_on_every_plan(card, offer.run.gpu_seconds, tokens)
    return PricedOffer(offer, prices, offer.run.sku in available)
