"""A quoted job on every GPU type, and the fastest and cheapest ways to run its very steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from broker import __version__, errors
from broker.base_models import service as base_models
from broker.calibrations import service as calibrations
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.contracts.reading.prices import BeyondGrants, PlanPrices
from broker.datasets import service as datasets
from broker.quotes.checking.configuration import JobConfiguration, resolve_configuration
from broker.quotes.costing.prices import PlanQuote, price_on_every_plan
from broker.quotes.counts.counting import read_counted
from broker.quotes.service import Quote, get_quote
from broker.work import Work
from pricing.catalog import UnknownGpu, get_gpu, list_offered_skus
from pricing.estimate.offers import Offer, OfferedJob, find_frontier
from pricing.plans import PlanName
from pricing.quote import price_line
from pricing.rate_card import RateCard
from pricing.rating import UsageTotal
from pricing.training.config import TrainingConfig
from pricing.training.label_config import KIND, TRAINING
from pricing.training.workload import Workload
from pricing.usage import Unit


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


@dataclass(frozen=True)
class QuotedCard:
    """The card by which a quote shows a plan's price, and what it shows: the contract that charges it, its grants."""

    card: RateCard
    quoted: PlanPrices

    def price_type(self, sku: str) -> PlanPrices:
        """Price the same plan on another GPU type; what grants cover is known of those with the quoted multiplier."""
        shown, prices = self.quoted, self.card.prices(self.quoted.prices.plan, sku)
        if shown.beyond is None:
            return PlanPrices(prices, shown.contract_id)
        granted = dict(shown.beyond.granted)
        if prices.gpu_multiplier != shown.prices.gpu_multiplier:
            granted.pop(Unit.GPU_SECONDS, None)
        overage = self.card.prices(shown.beyond.prices.plan, sku)
        return PlanPrices(prices, shown.contract_id, BeyondGrants(overage, granted))


@dataclass(frozen=True)
class OfferPrices:
    """What offers of one job are priced by, the cards of its quote: they differ in time and device, not in tokens."""

    plans: Mapping[PlanName, QuotedCard]
    tokens: int
    available: Sequence[str]

    def price(self, offers: Sequence[Offer]) -> list[PricedOffer]:
        list_prices = cache(self._list_prices)
        return [
            PricedOffer(
                offer=offer,
                prices=price_on_every_plan(list_prices(offer.run.sku), offer.run.gpu_seconds, self.tokens),
                available=offer.run.sku in self.available,
            )
            for offer in offers
        ]

    def _list_prices(self, sku: str) -> list[PlanPrices]:
        return [quoted.price_type(sku) for quoted in self.plans.values()]

    def compute_cost_micros(self, offer: Offer) -> int:
        """Price the GPU-seconds on demand: other plans keep the order, and tokens cost the same everywhere."""
        usage = UsageTotal(Unit.GPU_SECONDS, offer.run.gpu_seconds.p50)
        prices = self.plans[PlanName.ON_DEMAND].card.prices(PlanName.ON_DEMAND, offer.run.sku)
        return price_line(usage, prices).micros


async def offer_quote(work: Work, quote_id: str, gpu: str | None = None) -> QuoteOffers:
    """Estimate a quoted job anew, by the calibration of now, and price it as its quote does.

    `gpu` narrows it to one type, which a pool must have.
    Raises: NotFound, InvalidRequest.
    """
    quote = await get_quote(work, quote_id)
    if quote.config.get(KIND, TRAINING) != TRAINING:
        raise errors.invalid_field("quote_id", "this has no other ways; its gpu_types say what it costs on each")
    available = await capacity.list_skus(work)
    gpus = [get_gpu(sku) for sku in _choose_skus(available, gpu)]
    job = await _read_job(work, quote)
    prices = OfferPrices(await _read_cards(work, quote), job.workload.tokens, available)
    variants = job.list_variants([each for each in gpus if each.sku in available])
    frontier = find_frontier(variants, [prices.compute_cost_micros(each) for each in variants])
    return QuoteOffers(prices.price(job.list_offers(gpus)), prices.price(frontier))


async def _read_cards(work: Work, quote: Quote) -> dict[PlanName, QuotedCard]:
    quoted = {price.plan: price.charged for price in quote.prices}
    return {
        plan: QuotedCard(await contracts.get_rate_card(work, charged.prices.rate_card_version), charged)
        for plan, charged in quoted.items()
    }


async def _read_job(work: Work, quote: Quote) -> OfferedJob:
    """Read what is quoted: its configuration, counted on its data, under the newest calibration."""
    configuration = resolve_configuration(quote.config, await base_models.read_offer(work))
    profile = configuration.profile
    counted = await read_counted(work, await datasets.get_dataset(work, quote.dataset_id), profile)
    calibration = await calibrations.get_newest_calibration(work)

    def plan(variant: TrainingConfig) -> Workload:
        return counted.plan(JobConfiguration(variant, profile)).workload

    return OfferedJob(profile, configuration.config, plan, calibration, __version__)


def find_sku(gpu: str) -> str:
    """Find the SKU of a device type by any spelling. Raises: InvalidRequest, where the catalogue has none."""
    try:
        return get_gpu(gpu).sku
    except UnknownGpu as error:
        raise errors.invalid_field("gpu", str(error)) from error


def _choose_skus(available: Sequence[str], gpu: str | None) -> list[str]:
    if gpu is None:
        return list_offered_skus(available)
    sku = find_sku(gpu)
    if sku not in available:
        raise errors.invalid_field("gpu", f"no open pool has {sku}; there are: {', '.join(available)}")
    return [sku]
