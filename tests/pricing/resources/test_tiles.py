"""Tests of how busy matrix products keep a card."""

import pytest

from pricing.catalog import get_base_model, load_gpus
from pricing.resources.tiles import Products

A100 = 108
WIDE = ((4096, 1.0),)


def compute_utilization(rows, widths, multiprocessors):
    return Products.of(rows, widths).compute_utilization(multiprocessors)


def test_a_large_product_keeps_the_whole_card_busy():
    assert compute_utilization(65536, WIDE, A100) == pytest.approx(1, abs=0.03)


def test_a_small_product_leaves_most_of_a_card_idle():
    assert compute_utilization(16, WIDE, A100) < 0.25
    assert compute_utilization(1, WIDE, A100) < compute_utilization(16, WIDE, A100) / 4


def test_the_same_small_product_keeps_a_smaller_card_busier():
    assert compute_utilization(256, WIDE, 28) > compute_utilization(256, WIDE, 148)


def test_a_product_that_fills_one_wave_and_a_little_reaches_less_than_one_that_fills_it():
    """On 128 multiprocessors 128 tiles of 256 x 128 are one wave; one row of tiles more makes a second, near empty."""
    full = compute_utilization(1024, WIDE, 128)
    assert full == pytest.approx(1)
    assert compute_utilization(1218, WIDE, 128) < 0.9 * full


def test_narrow_products_reach_less_than_wide_ones():
    assert compute_utilization(512, ((512, 1.0),), A100) < compute_utilization(512, ((8192, 1.0),), A100)


def test_utilization_lies_between_its_points_and_never_above_one():
    for rows in (1, 3, 50, 777, 5000.5, 1e6, 1e12):
        assert 0 < compute_utilization(rows, WIDE, A100) <= 1


def test_shares_of_a_models_products_add_up_to_one():
    assert sum(share for _, share in get_base_model("llama-2-7b").product_widths) == pytest.approx(1)


def test_every_gpu_of_nvidia_has_its_multiprocessors():
    unknown = {sku for sku, gpu in load_gpus().items() if gpu.multiprocessors is None}
    assert unknown == {"cpu", "ascend-910b"}
