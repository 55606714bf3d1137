"""On which GPU types an order is admitted: those that it accepts, that its sum pays for, that meet its date. Pure."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker import errors
from broker.capacity.start_forecasts import ExpectedStart, ExpectedStarts
from broker.contracts.reading.prices import PlanPrices
from broker.contracts.terms.model import ContractTerms, Overage, QuoteGuarantee
from broker.jobs.admitting.order_terms import NOTHING_KNOWN, OrderTerms, plan_terms
from broker.jobs.admitting.request import JobRequest
from broker.ledger.holding.legs import BudgetRoom, OpenGrants
from broker.ledger.holding.reserves import Reserves
from broker.quotes.costing.gpu_types import QuotedType, UnfitType
from broker.quotes.costing.prices import price_on_every_plan
from broker.quotes.service import Quote
from pricing.estimate.type_choice import Preference
from pricing.money import Money
from pricing.rate_card import load_rate_cards
from pricing.usage import Unit, Usage
from tests.broker.contract_terms import make_terms
from tests.broker.estimates import make_estimate

CARD = load_rate_cards()["2026-01-01"].model_copy(
    update={"gpu_multipliers": {"rtx-4090": Decimal("1.5"), "h100-80g": Decimal(4)}}
)
# At 6.8 yuan an hour the first costs 6.80 at p90, the next 5.10, the last 6.80 again, and all of them 0.12 for tokens.
SECONDS = {"rtx-3090": (3000, 3600), "rtx-4090": (1500, 1800), "h100-80g": (800, 900)}
NOW = make_terms().starts_at


def make_quote() -> Quote:
    first, *others = [quote_type(sku, *seconds) for sku, seconds in SECONDS.items()]
    unfit = UnfitType("t4", "config.batch_size: needs about 20.0 GiB, T4 has 14.6 GiB: set batch_size: 2")
    return Quote(
        id="quo_1",
        config={},
        estimate=first.estimate,
        prices=first.prices,
        other_types=[*others, unfit],
        expires_at=NOW + timedelta(days=1),
    )


def quote_type(sku: str, p50: int, p90: int) -> QuotedType:
    estimate = make_estimate(sku=sku, p50=p50, p90=p90, tokens=1000)
    charged = [PlanPrices(prices) for prices in CARD.prices_by_plan(sku).values()]
    return QuotedType(estimate, price_on_every_plan(charged, estimate.gpu_seconds, estimate.tokens))


def make_reserves(terms: ContractTerms, budget: int | None = None) -> Reserves:
    room = None if budget is None else BudgetRoom(budget, budget)
    return Reserves(terms, "2026-11", OpenGrants.of([], {}), room)


def order(
    *, budget: int | None = None, named_quote: bool = True, starts: ExpectedStarts = NOTHING_KNOWN, **fields: Any
) -> OrderTerms:
    terms = make_terms(cards=(CARD,), **fields.pop("terms", {}))
    quote_id = "quo_1" if named_quote else None
    request = JobRequest("cus_1", {}, "dat_1", quote_id=quote_id, **fields)
    return plan_terms(request, make_quote(), make_reserves(terms, budget), NOW, starts)


def list_types(planned: OrderTerms) -> list[str]:
    return [each.quoted.sku for each in planned.types]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["rtx-4090", "h100-80g", "rtx-3090"]),
        ({"prefer": Preference.FASTEST}, ["h100-80g", "rtx-4090", "rtx-3090"]),
        ({"gpu_types": ("RTX 3090", "4090", "rtx-3090")}, ["rtx-4090", "rtx-3090"]),
        ({"finish_by": NOW + timedelta(seconds=1800)}, ["rtx-4090", "h100-80g"]),
        ({"finish_by": NOW + timedelta(seconds=1799)}, ["h100-80g"]),
        ({"max_cost": Money.from_decimal("6.00"), "prefer": Preference.FASTEST}, ["rtx-4090"]),
        ({"max_cost": Money.from_decimal("1.00"), "prefer": Preference.FASTEST}, ["h100-80g", "rtx-4090", "rtx-3090"]),
        ({"gpu_types": ("h100-80g", "rtx-3090"), "max_cost": Money.from_decimal("100")}, ["h100-80g", "rtx-3090"]),
    ],
)
def test_an_order_takes_the_types_that_fit_its_trade_off_the_best_first(
    fields: dict[str, Any], expected: list[str]
) -> None:
    assert list_types(order(**fields)) == expected


@pytest.mark.parametrize(
    ("named", "field", "message"),
    [
        (("rtx-3090", "a100-80g"), "gpu_types.1", "no quoted type; the job may accept rtx-3090, rtx-4090, h100-80g"),
        (("voodoo",), "gpu_types.0", "no quoted type; the job may accept rtx-3090, rtx-4090, h100-80g"),
        (("T4",), "gpu_types.0", "the job does not fit on t4: config.batch_size: needs about 20.0 GiB"),
    ],
)
def test_a_type_that_is_not_quoted_or_does_not_fit_is_refused_by_its_place(
    named: tuple[str, ...], field: str, message: str
) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        order(gpu_types=named)
    (found,) = refused.value.errors
    assert found.field == field
    assert found.message.startswith(message)


def test_a_date_that_is_over_is_refused_as_such() -> None:
    with pytest.raises(errors.InvalidRequest, match="finish_by: must be in the future"):
        order(finish_by=NOW)


def test_a_date_that_no_type_meets_is_refused_with_the_earliest_that_can_be_met() -> None:
    with pytest.raises(errors.DeadlineUnreachable) as refused:
        order(finish_by=NOW + timedelta(seconds=899))
    earliest = NOW + timedelta(minutes=17)
    assert refused.value.fields == {"earliest": f"{earliest:%Y-%m-%dT%H:%M:%SZ}"}
    assert refused.value.errors[0].field == "finish_by"
    assert list_types(order(finish_by=earliest)) == ["h100-80g"]


def in_seconds(p90: int | None) -> ExpectedStart:
    return ExpectedStart(NOW, None if p90 is None else NOW + timedelta(seconds=p90))


def test_the_wait_for_a_type_counts_towards_its_date_and_one_that_nobody_knows_meets_none() -> None:
    starts = {
        ("standard", "h100-80g", 1): in_seconds(1000),
        ("standard", "rtx-4090", 1): in_seconds(-50),
        ("standard", "rtx-3090", 1): in_seconds(None),
        ("priority", "h100-80g", 1): in_seconds(0),
    }
    assert list_types(order(finish_by=NOW + timedelta(seconds=1899), starts=starts)) == ["rtx-4090"]
    assert list_types(order(finish_by=NOW + timedelta(seconds=1900), starts=starts)) == ["rtx-4090", "h100-80g"]
    assert list_types(order(finish_by=NOW + timedelta(days=1), starts=starts)) == ["rtx-4090", "h100-80g"]
    with pytest.raises(errors.DeadlineUnreachable) as refused:
        order(finish_by=NOW + timedelta(seconds=1799), starts=starts)
    assert refused.value.fields == {"earliest": f"{NOW + timedelta(minutes=32):%Y-%m-%dT%H:%M:%SZ}"}
    with pytest.raises(errors.DeadlineUnreachable) as unknown:
        order(finish_by=NOW + timedelta(days=1), starts=starts, gpu_types=("rtx-3090",))
    assert unknown.value.fields == {"earliest": None}


def test_the_promise_is_that_of_the_dearest_and_of_the_slowest_type() -> None:
    planned = order()
    assert planned.limits.limit_micros == 6_920_000
    assert planned.limits.limit_gpu_seconds == 3600
    capped = order(terms={"quote_guarantee": QuoteGuarantee.CAP}, gpu_types=("rtx-4090", "h100-80g"))
    assert capped.limits.cap_micros == 6_920_000
    assert order(gpu_types=("rtx-4090",)).limits.limit_micros == 5_220_000


def test_a_type_that_the_contract_cannot_pay_for_is_left_out_and_refused_where_it_was_named() -> None:
    planned = order(budget=6_000_000)
    assert list_types(planned) == ["rtx-4090"]
    assert planned.limits.limit_micros == 5_220_000
    assert planned.need.usage == Usage(1800, 1000)
    with pytest.raises(errors.BudgetExceeded):
        order(budget=6_000_000, gpu_types=("rtx-4090", "h100-80g"))
    with pytest.raises(errors.BudgetExceeded):
        order(budget=5_000_000)


def test_without_hours_of_a_type_a_contract_that_blocks_overage_is_told_so() -> None:
    with pytest.raises(errors.InsufficientBalance):
        order(terms={"overage": Overage.BLOCK})


def test_a_quote_is_stale_by_the_price_of_any_type_that_is_accepted() -> None:
    dearer = CARD.model_copy(update={"gpu_multipliers": {**CARD.gpu_multipliers, "h100-80g": Decimal(5)}})
    request = JobRequest("cus_1", {}, "dat_1", quote_id="quo_1")
    reserves = make_reserves(make_terms(cards=(dearer,)))
    with pytest.raises(errors.QuoteStale):
        plan_terms(request, make_quote(), reserves, NOW)
    plan_terms(replace(request, gpu_types=("rtx-4090",)), make_quote(), reserves, NOW)


def test_a_sum_that_pays_for_no_step_on_any_type_is_refused_with_the_least_that_does() -> None:
    with pytest.raises(errors.MaxCostExceeded) as refused:
        order(max_cost=Money.from_decimal("0.01"))
    (found,) = refused.value.errors
    least = Decimal(found.message.split()[4].rstrip(","))
    assert list_types(order(max_cost=Money.from_decimal(least))) == ["rtx-4090"]
    with pytest.raises(errors.MaxCostExceeded):
        order(max_cost=Money.from_decimal(least - Decimal("0.000001")))


def test_a_sum_for_a_part_of_the_job_holds_of_each_type_what_the_sum_pays_for() -> None:
    planned = order(max_cost=Money.from_decimal("1.00"))
    money = sum(leg.quantity for leg in planned.legs if leg.unit == Unit.MICRO_YUAN)
    assert 990_000 <= money <= 1_000_000
