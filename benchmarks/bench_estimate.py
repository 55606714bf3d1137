"""How long an estimate on every GPU type of the catalogue takes, with its price on every plan.

In process, from a profile and a data set that are loaded and counted before: what is left is the planning of the work,
time and memory on each type, and the prices. The limit is the requirement's own.
"""

import statistics
import time
from collections.abc import Callable

from benchmarks.row import Row
from broker import __version__
from broker.contracts.prices import PlanPrices
from broker.quotes.prices import price_on_every_plan
from pricing.calibration.calibration import Calibration
from pricing.catalog import get_base_model, get_gpu, list_offered_skus
from pricing.estimate.offers import OfferedJob
from pricing.rate_card import load_rate_cards
from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload
from pricing.training.workload import Workload

LIMIT_MS = 2.0
BASE_MODEL = "smollm2-135m-instruct"  # fits on every type, so that every type is priced
ROW_LENGTHS = [100 + number % 150 for number in range(64)]
ROUNDS = 300


def measure() -> list[Row]:
    types = len(list_offered_skus(()))
    return [
        Row(f"estimate on {types} GPU types and all plans, p50", "ms", time_estimate(), "limit of 2 ms", LIMIT_MS, 1.0)
    ]


def time_estimate() -> float:
    """Measure the median milliseconds of an estimate, the planning of its work included."""
    profile, gpus, calibration = (
        get_base_model(BASE_MODEL),
        [get_gpu(sku) for sku in list_offered_skus(())],
        Calibration(),
    )
    config = TrainingConfig(base_model=BASE_MODEL, batch_size=4, epochs=2, max_length=256)
    card = max(load_rate_cards().values(), key=lambda card: card.effective_from)
    plans = [PlanPrices(prices) for prices in card.prices_by_plan().values()]

    def plan(config: TrainingConfig) -> Workload:
        return plan_text_workload(ROW_LENGTHS, config)

    def estimate() -> int:
        tokens = plan(config).tokens
        offers = OfferedJob(profile, config, plan, calibration, __version__).list_offers(gpus)
        return len([price_on_every_plan(plans, offer.run.gpu_seconds, tokens) for offer in offers])

    if (priced := estimate()) != len(gpus):
        raise RuntimeError(f"{BASE_MODEL} should fit on all {len(gpus)} types, and {priced} were priced")
    return statistics.median(time_call(estimate) for _ in range(ROUNDS))


def time_call(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - begun)
