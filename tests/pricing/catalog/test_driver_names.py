"""What drivers call GPUs, and what the catalogue does."""

import pytest

from pricing.catalog.driver_names import find_sku


@pytest.mark.parametrize(
    ("driver", "sku"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100-80g"),
        ("NVIDIA A100-SXM4-80GB", "a100-80g"),
        ("Tesla T4", "t4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090-laptop"),
        ("NVIDIA GeForce RTX 5060 Laptop GPU", None),
        ("NVIDIA GeForce RTX 3060 Ti", "rtx-3060ti"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000"),
        ("Some Card", None),
    ],
)
def test_the_drivers_name_is_found_in_the_catalogue(driver, sku) -> None:
    """Fault of before: a card of a laptop was taken for the one of a desk, and a 3060 Ti for a 3060."""
    assert find_sku(driver) == sku
