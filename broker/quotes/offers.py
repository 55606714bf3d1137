"""A quoted job on every GPU type, and the fastest and cheapest ways to run its very steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broker import __version__, errors
from broker.capacity import service as scheduling
from broker.contracts import service as contracts
from broker.datasets import service as datasets
from broker.estimator import service as estimator
from broker.quotes.counting import count_dataset
from broker.quotes.model import as_hours, resolve_config
from broker.quotes.prices import price_on_every_plan
from broker.quotes.service import get_quote
from broker.work import Work
from pricing.catalog import UnknownGpu, get_gpu, load_gpus
from pricing.estimate.offers import Offer, find_frontier, list_offers, list_variants
from pricing.quote import compare_plans
from pricing.rate_card import RateCard


@dataclass(frozen=True)
class QuoteOffers:
    """`offers` are the quoted configuration on each type it fits on; `frontier` other ways to do the same steps on the
    types that pools have, the fastest first and the cheapest last.
    """

    offers: list[dict[str, Any]]
    frontier: list[dict[str, Any]]


async def offer_quote(work: Work, quote_id: str, gpu: str | None = None) -> QuoteOffers:
    """Estimated and priced anew, by the calibration and the rate card of now.

    `gpu` narrows it to one type, which a pool must have.
    Raises: NotFound, InvalidRequest.
    """
    quote = await get_quote(work, quote_id)
    available = await scheduling.list_skus(work)
    skus = _choose_skus(available, gpu)
    config, profile = resolve_config(quote.config)
    plan = (await count_dataset(work, await datasets.get_dataset(work, quote.dataset_id), profile)).plan
    calibration = await estimator.get_newest_calibration(work)
    card = await contracts.rate_card_on(work, work.now.date())

    def priced(offers: Sequence[Offer]) -> list[dict[str, Any]]:
        return [_to_json(offer, card, tokens, is_available=offer.run.sku in available) for offer in offers]

    tokens = plan(config).tokens
    named = [get_gpu(sku) for sku in skus]
    offers = list_offers(profile, config, plan, named, calibration, trainer_version=__version__)
    buyable = [get_gpu(sku) for sku in skus if sku in available]
    variants = list_variants(profile, config, plan, buyable, calibration, trainer_version=__version__)
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
    """What the GPU-seconds cost on demand; the other plans keep the order, and tokens cost the same everywhere."""
    on_demand, *_ = compare_plans(card, gpu_seconds=offer.run.gpu_seconds.p50, tokens=0)
    return on_demand.total.micros


def _to_json(offer: Offer, card: RateCard, tokens: int, *, is_available: bool) -> dict[str, Any]:
    run, config = offer.run, offer.config
    return {
        "sku": run.sku,
        "available": is_available,
        "precision": offer.precision,
        "batch_size": config.batch_size,
        "gradient_accumulation": config.gradient_accumulation,
        "gradient_checkpointing": run.checkpointing,
        "fit": run.fit.value,
        "vram_gib": round(run.memory_gib, 2),
        "gpu_seconds": {"p50": run.gpu_seconds.p50, "p90": run.gpu_seconds.p90},
        "gpu_hours": {"p50": as_hours(run.gpu_seconds.p50), "p90": as_hours(run.gpu_seconds.p90)},
        "calibration_runs": run.calibration_runs,
        "prices": price_on_every_plan(card, run.gpu_seconds, tokens),
    }
