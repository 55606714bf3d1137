"""A hold that spans the close of a month: both meters, a gift that ends there, two budgets, an amendment, a loss after.

The moments are written down, not computed: where clocks of a zone are put forward or back on the very day, too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.jobs.running.runs import lose_run
from broker.system import System
from pricing.grants import GrantKind
from tests.broker.billing.invoicing import bill
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, amend_contract, make_ready_customer
from tests.broker.ledger.correcting.test_compensation_sweep import list_compensations
from tests.broker.running_jobs import (
    HOUR,
    RunningJob,
    add_grant,
    broken_rules,
    read_balance,
    read_hold,
    report_usage,
    start_job,
)

SECOND = timedelta(seconds=1)
# Time zone, billing day, when a month begins, its name, and that of the month before.
BORDERS = [
    ("UTC", 1, "2026-12-01T00:00", "2026-11", "2026-12"),
    ("Asia/Shanghai", 1, "2026-11-30T16:00", "2026-11", "2026-12"),
    ("Asia/Shanghai", 1, "2028-02-29T16:00", "2028-02", "2028-03"),  # after a leap day
    ("Asia/Shanghai", 15, "2027-02-14T16:00", "2027-01", "2027-02"),
    ("America/New_York", 14, "2027-03-14T05:00", "2027-02", "2027-03"),  # 02:00 is skipped on that day
    ("America/New_York", 7, "2027-11-07T04:00", "2027-10", "2027-11"),  # 01:00 comes twice
    ("America/Santiago", 5, "2027-09-05T04:00", "2027-08", "2027-09"),  # midnight itself is skipped
    ("America/Havana", 7, "2027-11-07T04:00", "2027-10", "2027-11"),  # midnight comes twice
]
NAMES = [f"{zone} {border}" for zone, _day, border, *_months in BORDERS]


async def sign(
    api: Api, clock: ManualClock, zone: str, day: int, border: str, **terms: Any
) -> tuple[Customer, datetime]:
    """Sign a contract some days before a month begins, and let it be an hour before that."""
    begins = datetime.fromisoformat(border).replace(tzinfo=UTC)
    clock.now = begins - timedelta(days=20)
    values = {"time_zone": zone, "billing_day": day, "starts_at": clock.now.isoformat()}
    customer = await make_ready_customer(api, rate_card_version="2026-01-01", **values, **terms)
    clock.now = begins - timedelta(hours=1)
    return customer, begins


async def use_over(system: System, clock: ManualClock, job: RunningJob, border: datetime) -> None:
    """Use half an hour and 10,000 tokens up to a second before the border, an hour and 20,000 up to the border."""
    clock.now = border - SECOND
    await report_usage(system, job, gpu_seconds=HOUR // 2, tokens=10_000)
    clock.now = border
    await report_usage(system, job, gpu_seconds=HOUR, tokens=20_000)


def lines(invoice: Any) -> list[tuple[str, str, int, str]]:
    return sorted(
        (each["kind"], each["meter"], each["quantity"], each["amount"]["amount"]) for each in invoice["lines"]
    )


@pytest.mark.parametrize(("zone", "day", "border", "before", "after"), BORDERS, ids=NAMES)
async def test_each_month_has_its_part_and_a_loss_gives_both_back(
    api: Api, system: System, clock: ManualClock, zone: str, day: int, border: str, before: str, after: str
) -> None:
    customer, begins = await sign(api, clock, zone, day, border, monthly_budget="20.00")
    contract_id = customer.contract["id"]
    gift = {"kind": GrantKind.PROMOTIONAL, "advance": False, "effective_at": clock.now, "expires_at": begins}
    await add_grant(system, contract_id, HOUR, **gift)
    job = await start_job(system, customer, gpu_seconds=3 * HOUR, tokens=50_000)
    # An hour of the gift; two at 6.80 and 50,000 tokens are 19.60 of the first month's budget.
    first = await read_balance(system, contract_id)
    assert (first.month, first.held_money.format_amount(), first.budget_left.format_amount()) == (  # type: ignore[union-attr]
        before,
        "19.60",
        "0.40",
    )
    await use_over(system, clock, job, begins)
    closed = await bill(api, customer, before)
    assert lines(closed) == [
        ("advance", "gpu_seconds", HOUR // 2, "-3.40"),
        ("usage", "gpu_seconds", HOUR // 2, "3.40"),
        ("usage", "tokens", 10_000, "1.20"),
    ]
    # The hour that ended as the gift did is the next month's, at 6.80; what is held of the gift stays so, unused.
    second = await read_balance(system, contract_id)
    assert (second.month, second.used_gpu_seconds, second.used_tokens) == (after, HOUR * 3 // 2, 30_000)
    assert (second.held_gpu_seconds, second.held_tokens) == (HOUR * 3 // 2, 20_000)
    assert second.budget_left is not None
    assert (second.held_money.format_amount(), second.budget_left.format_amount()) == ("9.20", "1.60")
    draft = await api.post("/invoices", {"contract_id": contract_id, "month": after}, expect=201)
    assert lines(draft) == [("usage", "gpu_seconds", HOUR, "6.80"), ("usage", "tokens", 20_000, "2.40")]
    assert await broken_rules(system) == {}
    await lose_over(api, system, clock, job)
    (made,) = await list_compensations(system, contract_id)
    assert (made.terms.quantity, made.free + made.held) == (HOUR // 2, HOUR // 2)
    clock.now = begins + timedelta(days=32)
    corrected = await bill(api, customer, after)
    assert lines(corrected) == [
        ("advance", "gpu_seconds", -HOUR // 2, "3.40"),
        ("correction", "gpu_seconds", -HOUR // 2, "-3.40"),
        ("correction", "tokens", -10_000, "-1.20"),
    ]
    assert await broken_rules(system) == {}


async def lose_over(api: Api, system: System, clock: ManualClock, job: RunningJob) -> None:
    """Lose the run after the close: it kept nothing, so all that it used in both months is on the house."""
    clock.advance(minutes=5)
    async with system.work() as work:
        await lose_run(work, job.run_id, "its machine is gone")
    shown = await api.get(f"/jobs/{job.id}")
    assert (shown["charged_gpu_seconds"], shown["charged_tokens"]) == (0, 0)
    [lost] = shown["lost_work"]
    assert (lost["gpu_seconds"], lost["tokens"]) == (HOUR * 3 // 2, 30_000)
    balance = await read_balance(system, job.contract_id)
    assert (balance.used_gpu_seconds, balance.used_tokens) == (0, 0)
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(("zone", "day", "border", "before", "after"), BORDERS[1:6:2], ids=NAMES[1:6:2])
async def test_each_month_has_its_own_budget_where_an_amendment_begins_at_the_border(
    api: Api, system: System, clock: ManualClock, zone: str, day: int, border: str, before: str, after: str
) -> None:
    customer, begins = await sign(api, clock, zone, day, border, monthly_budget="20.00")
    clock.now = begins - timedelta(hours=1)
    await amend_contract(api, customer.contract["id"], monthly_budget="7.00", effective_at=begins.isoformat())
    job = await start_job(system, customer, gpu_seconds=2 * HOUR, tokens=40_000)
    await use_over(system, clock, job, begins)
    assert (await bill(api, customer, before))["total"]["amount"] == "4.60"
    clock.now = begins + timedelta(days=32)
    # 6.80 and 2.40 were used of the second month: 7.00 are asked for, the rest is beyond the promise.
    assert (await bill(api, customer, after))["total"]["amount"] == "7.00"
    shown = await api.get(f"/jobs/{job.id}")
    assert (shown["borne_by_cause"]["over_promise"]["gpu_seconds"], shown["stop_requested"]) == (0, "budget")
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(("zone", "day", "border", "before", "after"), BORDERS[2:7:2], ids=NAMES[2:7:2])
async def test_plan_that_is_amended_at_the_border_prices_what_ends_there(
    api: Api, system: System, clock: ManualClock, zone: str, day: int, border: str, before: str, after: str
) -> None:
    terms = {"plan": "long_term", "committed_gpu_hours": 2000}
    customer, begins = await sign(api, clock, zone, day, border, **terms)
    change = {"plan": "on_demand", "unused_grants": "expire", "effective_at": begins.isoformat()}
    await amend_contract(api, customer.contract["id"], **change)
    job = await start_job(system, customer, gpu_seconds=2 * HOUR, tokens=40_000)
    await use_over(system, clock, job, begins)
    legs = {
        leg.unit_price for leg in (await read_hold(system, job.id)).legs if leg.captured and leg.unit == "gpu_seconds"
    }
    assert sorted(str(price.normalize()) for price in legs if price is not None) == ["4", "6.8"]
    assert lines(await bill(api, customer, before)) == [
        ("usage", "gpu_seconds", HOUR // 2, "2.00"),
        ("usage", "tokens", 10_000, "0.60"),
    ]
    clock.now = begins + timedelta(days=32)
    assert lines(await bill(api, customer, after)) == [
        ("usage", "gpu_seconds", HOUR, "6.80"),
        ("usage", "tokens", 20_000, "2.40"),
    ]
    assert await broken_rules(system) == {}
