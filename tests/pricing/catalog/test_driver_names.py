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
        ("Some Card", None),
    ],
)
def test_the_drivers_name_is_found_in_the_catalogue(driver, sku) -> None:
    assert find_sku(driver) == sku
