"""The prices of a quote are read as they were written, by this release and by earlier ones."""

from decimal import Decimal

from broker.contracts.reading.prices import BeyondGrants, PlanPrices
from broker.quotes.costing.prices import PlanQuote, price_on_plan
from pricing.estimate.run_estimate import GpuSeconds
from pricing.plans import PlanName
from pricing.rate_card import UnitPrices
from pricing.usage import Unit
from pricing.usage_prices import PricedUnits

PREPAID = UnitPrices(PlanName.PREPAID, Decimal("5.2"), Decimal("0.00002"), "card", "CNY")
ON_DEMAND = UnitPrices(PlanName.ON_DEMAND, Decimal("6.8"), Decimal("0.00002"), "card", "CNY")


def make_quote(granted: PricedUnits) -> PlanQuote:
    """Make the quote of two hours of which a grant pays for some."""
    beyond = BeyondGrants(ON_DEMAND, {Unit.GPU_SECONDS: (granted,)})
    return price_on_plan(PlanPrices(PREPAID, "con_1", beyond), GpuSeconds(7200, 7200), 0)


def test_what_grants_pay_for_is_read_as_it_was_written() -> None:
    quote = make_quote(PricedUnits(3600, Decimal("4.9"), billable=False))
    assert PlanQuote.from_json(quote.to_json()) == quote


def test_quote_of_an_earlier_release_says_how_many_hours_its_grants_pay_at_the_plans_price() -> None:
    quote = make_quote(PricedUnits(3600, PREPAID.per_gpu_hour, billable=True))
    written = quote.to_json()
    written["beyond"] = {"plan": "on_demand", "per_gpu_hour": "6.8", "covered_gpu_seconds": 3600}
    read = PlanQuote.from_json(written)
    assert read.charged.of_usage.price_meter(Unit.GPU_SECONDS, 7200) == quote.gpu_cost
    assert quote.gpu_cost.format_amount() == "12.00"
