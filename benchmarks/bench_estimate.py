"""How long an estimate on every GPU type that is offered takes, with its price on every plan, against fixed arithmetic.

In process, from a profile and a data set that are loaded and counted before: what is left is the planning of the work,
time and memory on each type, and the prices. The peer is a sum of 400 exact fractions, which no change of ours makes
faster; what is compared is CPU time of the same process, one after the other in turn.
"""

import statistics
import time
from collections.abc import Callable
from fractions import Fraction

from benchmarks.row import Row
from broker import __version__
from broker.contracts.reading.prices import PlanPrices
from broker.quotes.costing.prices import price_on_every_plan
from pricing.calibration.calibration import Calibration
from pricing.catalog import get_base_model, get_gpu, list_offered_skus
from pricing.estimate.offers import OfferedJob
from pricing.rate_card import load_rate_cards
from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload
from pricing.training.workload import Workload

# A quarter of the 1.85 times that the estimate took before it was made fast, measured against the same peer.
BAR = 0.46
BASE_MODEL = "smollm2-135m-instruct"  # fits on every type, so that every type is priced
ROW_LENGTHS = [100 + number % 150 for number in range(64)]
ROUNDS = 300


def measure() -> list[Row]:
    types = len(list_offered_skus(()))
    ours, peer = time_in_turn(prepare_estimate(), add_fractions)
    return [Row(f"estimate on {types} GPU types and all plans, p50", "CPU ms", ours, "400 exact fractions", peer, BAR)]


def prepare_estimate() -> Callable[[], object]:
    """Load all that an estimate does not do itself. Raises: RuntimeError, where a type would be left out."""
    profile, calibration = get_base_model(BASE_MODEL), Calibration()
    gpus = [get_gpu(sku) for sku in list_offered_skus(())]
    config = TrainingConfig(base_model=BASE_MODEL, batch_size=4, epochs=2, max_length=256)
    card = max(load_rate_cards().values(), key=lambda card: card.effective_from)
    plans = [PlanPrices(prices) for prices in card.prices_by_plan().values()]

    def plan(config: TrainingConfig) -> Workload:
        return plan_text_workload(ROW_LENGTHS, config)

    def estimate() -> int:
        job = OfferedJob(profile, config, plan, calibration, __version__)
        offers, tokens = job.list_offers(gpus), job.workload.tokens
        return len([price_on_every_plan(plans, offer.run.gpu_seconds, tokens) for offer in offers])

    if (priced := estimate()) != len(gpus):
        raise RuntimeError(f"{BASE_MODEL} should fit on all {len(gpus)} types, and {priced} were priced")
    return estimate


def add_fractions() -> Fraction:
    return sum((Fraction(number, 3600) for number in range(1, 401)), Fraction(0))


def time_in_turn(ours: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float]:
    """Measure the median CPU milliseconds of both, in turn, so that what else the machine does meets both alike."""
    times = [(time_call(ours), time_call(peer)) for _ in range(ROUNDS)]
    return statistics.median(mine for mine, _ in times), statistics.median(theirs for _, theirs in times)


def time_call(act: Callable[[], object]) -> float:
    begun = time.process_time()
    act()
    return 1000 * (time.process_time() - begun)
