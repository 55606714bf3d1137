"""The prices of a quote are read as they were written, by this release and by earlier ones."""

from decimal import Decimal
from fractions import Fraction

from broker.contracts.reading.prices import BeyondGrants, PlanPrices
from broker.quotes.costing.prices import PlanQuote, price_on_plan
from pricing.estimate.run_estimate import GpuSeconds
from pricing.money import round_to_fen
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


def test_what_a_plan_costs_is_its_exact_price_rounded_once() -> None:
    """Quotes divide whole numbers by short ways: on a grid with halves of a fen they say what fractions say."""
    for per_gpu_hour in ("5.2", "0.000001", "18", "6.799999"):
        for seconds in (1, 9, 18, 27, 3599, 3600, 86_400_001):
            prices = UnitPrices(PlanName.PREPAID, Decimal(per_gpu_hour), Decimal("0.00002"), "card", "CNY")
            quote = price_on_plan(PlanPrices(prices), GpuSeconds(seconds, 2 * seconds), seconds * 250)
            assert quote.gpu_cost == round_to_fen(Fraction(per_gpu_hour) * seconds / 3600)
            assert quote.gpu_cost_p90 == round_to_fen(Fraction(per_gpu_hour) * 2 * seconds / 3600)
            assert quote.token_cost == round_to_fen(Fraction("0.00002") * seconds * 250)
