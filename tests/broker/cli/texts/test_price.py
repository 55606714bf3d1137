"""What a quote says of a contract's grants and of what lies beyond them, where these have prices of their own."""

from datetime import UTC, datetime
from typing import Any

from broker.cli.texts.price import Offer, make_offer
from tests.broker.cli import objects

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
COVERED = [
    {"meter": "gpu_seconds", "quantity": 100, "unit_price": "4.9"},
    {"meter": "tokens", "quantity": 7_000, "unit_price": "0.00007"},
]


def tell(**fields: Any) -> list[str]:
    """Tell the lines of a quote whose price on the contract's plan has these fields."""
    own = objects.price("prepaid", "0.14", "0.26", "1.30", "1.42", objects.CONTRACT_ID) | {"gpu_hour_price": "5.2"}
    offer = Offer(objects.quote(prices=[own | fields]), objects.contract(), objects.balance())
    return [" ".join(line.plain.split()) for line in make_offer(offer, NOW, 100)]


def test_grants_and_what_lies_beyond_them_are_told_with_their_prices() -> None:
    lines = tell(overage_gpu_hour_price="6.8", covered_by_grants=COVERED)
    assert "Of grants 0.0278 GPU-hours at 4.9 yuan, 7,000 tokens at 0.00007 yuan" in lines
    assert "Beyond them 6.8 yuan a GPU-hour, which is in these prices" in lines


def test_what_costs_what_the_plan_says_is_not_told_again() -> None:
    for lines in (tell(), tell(overage_gpu_hour_price="5.2", covered_by_grants=[])):
        assert not [line for line in lines if line.startswith(("Of grants", "Beyond"))]


def test_each_gpu_type_is_told_with_its_hours_and_price_or_why_the_job_does_not_fit() -> None:
    price = objects.price("prepaid", "0.14", "0.26", "1.30", "1.42", objects.CONTRACT_ID) | {"gpu_hour_price": "5.2"}
    on_cpu = {"sku": "cpu", "fit": "tight", "gpu_hours": {"p50": "0.0264", "p90": "0.0500"}, "prices": [price]}
    on_cpu["expected_start"] = {"queue": "standard", "p50": "2026-11-24T10:00:00Z", "p90": None}
    unfit = {"sku": "t4", "fit": "does_not_fit", "gpu_hours": None, "prices": [], "reason": "set batch_size: 2"}
    offer = Offer(objects.quote(prices=[price], gpu_types=[on_cpu, unfit]), objects.contract(), objects.balance())
    lines = [" ".join(line.plain.split()) for line in make_offer(offer, NOW, 100)]
    assert "cpu 0.0264 to 0.0500 1.30 to 1.42 now tight" in lines
    assert "t4 does not fit: set batch_size: 2" in lines
