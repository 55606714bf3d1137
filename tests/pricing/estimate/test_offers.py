from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.calibration.calibration import Calibration
from pricing.catalog import get_base_model, get_gpu, load_gpus
from pricing.estimate.offers import Offer, OfferedJob, find_frontier
from pricing.estimate.run_estimate import GpuSeconds, estimate_run
from pricing.resources.memory import FitJudgement
from pricing.resources.peak_contents import count_peak_contents
from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload

CONFIG = TrainingConfig(base_model="m", batch_size=4, gradient_accumulation=2, epochs=3)
GPUS = list(load_gpus().values())


def ran_for(seconds):
    """Make an estimate of so many seconds; the rest of it is that of SmolLM2 on a CPU."""
    profile = get_base_model("smollm2-135m-instruct")
    workload = plan_text_workload([100], CONFIG)
    run = estimate_run(profile, CONFIG, workload, get_gpu("cpu"), Calibration(), trainer_version="1")
    return run._replace(gpu_seconds=GpuSeconds(seconds, seconds))


@pytest.fixture
def offers_of(smollm2):
    def make(listing, gpus=GPUS, profile=smollm2, config=CONFIG):
        plan = partial(plan_text_workload, [100, 120, 80, 200] * 10)
        return listing(OfferedJob(profile, config, plan, Calibration(), "1"), gpus)

    return make


def test_a_small_model_is_offered_on_every_type(offers_of):
    assert {offer.run.sku for offer in offers_of(OfferedJob.list_offers)} == load_gpus().keys()


def test_a_quantized_base_is_not_offered_on_a_cpu(offers_of):
    config = CONFIG.model_copy(update={"quantization": "4bit"})
    for listing in (OfferedJob.list_offers, OfferedJob.list_variants):
        skus = {offer.run.sku for offer in offers_of(listing, config=config)}
        assert "cpu" not in skus
        assert "rtx-4090" in skus


def test_a_large_model_is_offered_only_where_it_fits(offers_of, llama_7b):
    skus = {offer.run.sku for offer in offers_of(OfferedJob.list_offers, profile=llama_7b)}
    assert "a100-80g" in skus
    assert not skus & {"rtx-2080ti", "rtx-3060"}


def test_every_variant_trains_the_same_steps_and_surely_fits(offers_of):
    variants = offers_of(OfferedJob.list_variants)
    assert len(variants) > len(GPUS)
    for offer in variants:
        assert offer.config.rows_per_step == CONFIG.rows_per_step
        assert offer.run.fit is FitJudgement.FITS
        assert plan_text_workload([100] * 40, offer.config).steps == plan_text_workload([100] * 40, CONFIG).steps


def test_the_fastest_way_is_no_slower_than_the_configuration_as_it_is(offers_of):
    gpus = [get_gpu("rtx-4090")]
    variants = offers_of(OfferedJob.list_variants, gpus)
    fastest = find_frontier(variants, [offer.run.gpu_seconds.p50 for offer in variants])[0]
    assert fastest.run.gpu_seconds.p50 <= offers_of(OfferedJob.list_offers, gpus)[0].run.gpu_seconds.p50


@pytest.mark.parametrize("listing", [OfferedJob.list_offers, OfferedJob.list_variants])
def test_all_gpu_types_share_one_peak_for_each_batch_and_method(offers_of, llama_7b, monkeypatch, listing):
    counted = []

    def count(profile, method, batch):
        counted.append((method, batch))
        return count_peak_contents(profile, method, batch)

    monkeypatch.setattr("pricing.resources.trainer_memory.count_peak_contents", count)
    assert offers_of(listing, profile=llama_7b)
    assert len(counted) == len(set(counted))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30))
def test_the_frontier_holds_what_nothing_beats_and_only_that(points):
    offers = [Offer(CONFIG, ran_for(seconds)) for seconds, _ in points]
    costs = [cost for _, cost in points]
    frontier = find_frontier(offers, costs)
    kept = [points[next(place for place, offer in enumerate(offers) if offer is each)] for each in frontier]
    unbeaten = {
        point for point in points if not any(a <= point[0] and b <= point[1] and (a, b) != point for a, b in points)
    }
    assert set(kept) == unbeaten
    assert len(kept) == len(unbeaten)


def test_of_equal_ways_one_is_kept():
    offers = [Offer(CONFIG, ran_for(5)), Offer(CONFIG, ran_for(5))]
    assert len(find_frontier(offers, [7, 7])) == 1


def test_the_frontier_goes_from_the_fastest_to_the_cheapest():
    offers = [Offer(CONFIG, ran_for(seconds)) for seconds in (30, 10, 20, 25)]
    frontier = find_frontier(offers, [1, 9, 5, 8])
    assert [offer.run.gpu_seconds.p50 for offer in frontier] == [10, 20, 30]


@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "llama-7b"])
@pytest.mark.parametrize("keys", [{}, {"batch_size": 1, "quantization": "8bit"}, {"precision": "bf16"}, {"epochs": 9}])
def test_an_offer_is_what_its_type_alone_is_estimated_to_need(offers_of, model, keys):
    """All types share what depends on the job alone; on a type of its own nothing is shared."""
    profile, config = get_base_model(model), CONFIG.model_copy(update=keys)
    workload = plan_text_workload([100, 120, 80, 200] * 10, config)
    offers = offers_of(OfferedJob.list_offers, profile=profile, config=config)
    assert offers
    for offer in offers:
        gpu = get_gpu(offer.run.sku)
        assert offer.run == estimate_run(profile, config, workload, gpu, Calibration(), trainer_version="1")


def test_a_variant_in_16_bit_is_what_its_type_alone_is_estimated_to_need(offers_of, smollm2):
    gpus = [get_gpu(sku) for sku in ("a100-80g", "t4")]
    for offer in offers_of(OfferedJob.list_variants, gpus):
        workload = plan_text_workload([100, 120, 80, 200] * 10, offer.config)
        gpu = get_gpu(offer.run.sku)
        assert offer.run == estimate_run(smollm2, offer.config, workload, gpu, Calibration(), trainer_version="1")
