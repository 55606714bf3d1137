"""Plan advice from what a customer was really charged for, month by month."""

import csv
import io
from datetime import UTC, datetime

import pytest

from broker.reports.plan_advice import advise_customer, choose_months, describe_present
from broker.system import System
from pricing.plan_advice.costs import MonthUsage, PlanOption
from pricing.plans import PlanName
from tests.broker.conftest import ManualClock
from tests.broker.contract_terms import make_terms
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.running_jobs import HOUR, report_usage, start_job

BEGIN = datetime(2026, 10, 31, 16, tzinfo=UTC)  # November in Shanghai


def moment(month: int, day: int) -> datetime:
    return datetime(2027, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("starts_at", "now", "most", "months"),
    [
        (BEGIN, moment(2, 10), 12, ["2026-11", "2026-12", "2027-01"]),
        (BEGIN, moment(2, 10), 2, ["2026-12", "2027-01"]),
        (BEGIN.replace(day=30, month=11, hour=15, minute=59), moment(2, 10), 12, ["2026-12", "2027-01"]),
        (BEGIN.replace(hour=17), moment(2, 10), 12, ["2026-12", "2027-01"]),
        (BEGIN, datetime(2026, 11, 30, 15, 59, tzinfo=UTC), 12, []),
        (BEGIN, datetime(2026, 11, 30, 16, tzinfo=UTC), 12, ["2026-11"]),
    ],
)
def test_advice_is_from_whole_months_under_a_contract_that_are_over(starts_at, now, most, months) -> None:
    assert choose_months([make_terms(starts_at=starts_at)], now, most) == months


def test_months_are_counted_from_the_first_of_several_contracts() -> None:
    later = make_terms(id="con_2", starts_at=moment(1, 5))
    assert choose_months([later, make_terms(starts_at=BEGIN)], moment(1, 10), 12) == ["2026-11", "2026-12"]
    assert choose_months([], moment(1, 10), 12) == []


@pytest.mark.parametrize(
    ("ends_at", "committed"),
    [(None, 2400), (datetime(2027, 10, 31, 16, tzinfo=UTC), 2400), (datetime(2028, 10, 31, 16, tzinfo=UTC), 1200)],
)
def test_a_commitment_of_several_years_is_described_as_of_one(ends_at, committed) -> None:
    terms = make_terms(plan=PlanName.LONG_TERM, committed_gpu_hours=2400, starts_at=BEGIN, ends_at=ends_at)
    assert describe_present(terms, moment(1, 1)) == PlanOption(PlanName.LONG_TERM, committed)


async def test_a_customer_is_told_what_its_months_would_have_cost_on_each_plan(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, starts_at=BEGIN.isoformat())
    for hours in (400, 200):
        job = await start_job(system, customer, gpu_seconds=hours * HOUR)
        await report_usage(system, job, gpu_seconds=hours * HOUR, tokens=500_000)
        clock.advance(days=31)
    async with customer_api(api, customer.id) as own:
        advice = await own.get("/reports/plan-advice")
        assert advice == await api.get("/reports/plan-advice", customer_id=customer.id)
    months = [(each["month"], each["gpu_hours"], each["tokens"]) for each in advice["months"]]
    assert months == [("2026-11", "400.0000", 500_000), ("2026-12", "200.0000", 500_000)]
    options = {(each["plan"], each["committed_gpu_hours"]): each for each in advice["data"]}
    on_demand, block = options["on_demand", 0], options["prepaid", 500]
    assert on_demand["present"]
    # 600 hours and a million tokens by the card in force now, at half the first one's prices. Of 500 hours a year
    # 83 1/3 are of two months; the rest is on demand.
    assert on_demand["cost"]["total"]["amount"] == "2100.00"
    assert block["cost"]["total"]["amount"] == "2018.34"
    assert block["saving"]["amount"] == "81.66"
    assert (block["break_even_gpu_hours"], on_demand["break_even_gpu_hours"]) == ("382.35", None)
    assert options["long_term", 2000]["break_even_gpu_hours"] == "1176.47"
    (advised,) = [each for each in advice["data"] if each["advised"]]
    assert advised is advice["data"][0]
    assert (advised["plan"], advised["committed_gpu_hours"]) == ("long_term", 2000)
    asked = {"customer_id": customer.id, "format": "csv"}
    answer = await api.call("GET", "/reports/plan-advice", expect=200, params=asked)
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row["total"] for row in rows] == [each["cost"]["total"]["amount"] for each in advice["data"]]


async def test_usage_from_outside_is_of_the_type_that_its_source_tells(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, starts_at=BEGIN.isoformat())
    body = {"source": "/inference", "name": "Inference", "customer_id": customer.id}
    await api.post("/usage-sources", body, expect=201)
    event = {"specversion": "1.0", "type": "lora.usage.measured", "id": "1", "source": "/inference"}
    used = {"meter": "gpu_seconds", "quantity": 60, "gpu_type": "h100-80g"}
    said = {"subject": customer.contract["id"], "time": clock.now.isoformat(), "data": used}
    await api.post("/usage-events", event | said, expect=202)
    clock.advance(days=31)
    async with system.work() as work:
        advice = await advise_customer(work, customer.id, most_months=12)
    assert advice.usage == [MonthUsage({"h100-80g": 60}, 0)]


async def test_there_is_no_advice_before_a_whole_month_is_over(api: Api) -> None:
    customer = await make_ready_customer(api)
    advice = await api.get("/reports/plan-advice", customer_id=customer.id)
    assert (advice["months"], advice["data"]) == ([], [])
    answer = await api.call(
        "GET", "/reports/plan-advice", expect=200, params={"customer_id": customer.id, "format": "csv"}
    )
    assert len(answer.content.splitlines()) == 1


async def test_advice_is_for_a_customer_that_there_is(api: Api) -> None:
    problem = await api.get("/reports/plan-advice", expect=422)
    assert problem["errors"][0]["field"] == "customer_id"
    await api.get("/reports/plan-advice", expect=404, customer_id="cus_nobody")
