"""Volume tiers settle as one line a meter at the month's close, and no promise is touched by them."""

import random
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import select

from broker.jobs.service import lock_job, note_charges
from broker.ledger import service as ledger
from broker.ledger.books.causes import Cause
from broker.ledger.correcting import taking_back
from broker.ledger.tables import Capture
from broker.system import System
from pricing.tier_terms import Tiers
from pricing.tiers import TierSchedule
from pricing.usage import Unit
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, Customer, make_ready_customer
from tests.broker.rate_cards import publish_card, with_tiers
from tests.broker.running_jobs import HOUR, add_grant, broken_rules, read_balance, report_usage, start_job

TIERED_FROM = date(2026, 11, 7)
SIGNED_AT = "2026-11-08T00:00:00Z"
NOVEMBER = "2026-11"
STEPS = [{"above": 1, "price": "6"}, {"above": 3, "price": "5"}]
GRADUATED = {"mode": "graduated", "steps": STEPS}
FULL = Decimal("6.8")


@pytest.fixture
async def tiered(system: System) -> System:
    await publish_card(system, "tiered", TIERED_FROM, plans=with_tiers(gpu_hours=GRADUATED))
    return system


async def make_buyer(api: Api, **terms: Any) -> Customer:
    return await make_ready_customer(api, **{"starts_at": SIGNED_AT, **terms})


async def use(system: System, customer: Customer, *gpu_seconds: int, **fields: Any) -> str:
    """Let one job use so many GPU-seconds, report by report. Returns its id."""
    job = await start_job(system, customer, gpu_seconds=60, tokens=0, **fields)
    for seconds in gpu_seconds:
        await report_usage(system, job, gpu_seconds=seconds)
    return job.id


async def draft(api: Api, customer: Customer, month: str = NOVEMBER) -> Any:
    return await api.post("/invoices", {"contract_id": customer.contract["id"], "month": month}, expect=201)


def settlements(invoice: Any) -> list[Any]:
    return [line for line in invoice["lines"] if line["kind"] == "tier_settlement"]


def rate(gpu_seconds: int) -> Fraction:
    return TierSchedule(Unit.GPU_SECONDS, FULL, Tiers.model_validate(GRADUATED)).rate(gpu_seconds)


async def test_tiers_take_their_part_off_the_months_invoice_as_one_line(
    api: Api, tiered: System, clock: ManualClock
) -> None:
    customer = await make_buyer(api)
    await use(tiered, customer, HOUR, HOUR)
    await use(tiered, customer, 3 * HOUR)
    invoice = await draft(api, customer)
    (line,) = settlements(invoice)
    assert rate(5 * HOUR) == Fraction("6.8") + 2 * 6 + 2 * 5
    assert (line["amount"]["amount"], invoice["total"]["amount"]) == ("-5.20", "28.80")
    assert line["description"] == "volume tiers, 5.0000 GPU-hours in 2026-11"
    assert (line["meter"], line["quantity"], line["unit_price"]) == ("gpu_seconds", 5 * HOUR, None)
    assert (line["job_id"], line["rate_card_version"]) == (None, "tiered")
    report = await api.get("/reports/monthly-cost", month=NOVEMBER)
    assert (report["due"]["amount"], report["tier_settlement"]["amount"]) == ("28.80", "-5.20")
    assert [row["cost"]["amount"] for row in report["data"]] == ["34.00"]
    balance = await read_balance(tiered, customer.contract["id"])
    assert balance.used_money.to_decimal() == 34, "what was charged during the month, at the first tier's price"
    clock.now = START + timedelta(days=30)
    final = await api.post(f"/invoices/{invoice['id']}/finalize")
    assert (final["status"], final["total"]["amount"]) == ("open", "28.80")
    assert await broken_rules(tiered) == {}


@pytest.mark.parametrize("seed", range(3))
async def test_no_order_and_no_batches_of_the_same_usage_change_the_draft(api: Api, tiered: System, seed: int) -> None:
    draw = random.Random(seed)
    pieces = [draw.randrange(1, HOUR) for _ in range(6)]
    told = set()
    for shares in (pieces, sorted(pieces), [sum(pieces[:2]), *pieces[2:]], [sum(pieces)]):
        customer = await make_buyer(api)
        await use(tiered, customer, *shares)
        invoice = await draft(api, customer)
        (line,) = settlements(invoice)
        told.add((line["amount"]["amount"], invoice["total"]["amount"]))
    assert len(told) == 1
    exact = rate(sum(pieces)) - Fraction(sum(pieces), HOUR) * Fraction(FULL)
    assert abs(Fraction(line["amount"]["amount"]) - exact) <= Fraction(1, 200)


async def test_usage_within_the_first_tier_settles_nothing(api: Api, tiered: System) -> None:
    customer = await make_buyer(api)
    await use(tiered, customer, HOUR)
    assert settlements(await draft(api, customer)) == []


async def test_months_are_settled_each_by_its_own_usage(api: Api, tiered: System, clock: ManualClock) -> None:
    customer = await make_buyer(api)
    await use(tiered, customer, 2 * HOUR)
    clock.now = START + timedelta(days=30)
    await use(tiered, customer, HOUR)
    assert [line["amount"]["amount"] for line in settlements(await draft(api, customer))] == ["-0.80"]
    assert settlements(await draft(api, customer, "2026-12")) == []


@pytest.mark.parametrize(
    "terms", [{"monthly_budget": "20.00"}, {"limit_micros": 20_000_000}, {"cap_micros": 20_000_000}]
)
async def test_a_settlement_takes_off_what_was_charged_within_a_promise(
    api: Api, tiered: System, terms: dict[str, Any]
) -> None:
    """Budget, limit and cap count the first tier's price: an invoice asks for less than they promised, never more."""
    on_contract = {name: value for name, value in terms.items() if name == "monthly_budget"}
    customer = await make_buyer(api, **on_contract)
    await use(tiered, customer, 5 * HOUR, **{name: value for name, value in terms.items() if name not in on_contract})
    invoice = await draft(api, customer)
    charged = sum(line["quantity"] for line in invoice["lines"] if line["kind"] == "usage")
    assert charged == int(Fraction(20) / Fraction(FULL) * HOUR)
    assert abs(Fraction(invoice["total"]["amount"]) - rate(charged)) <= Fraction(1, 100)
    assert await broken_rules(tiered) == {}


async def test_what_a_grant_pays_neither_counts_nor_is_settled(api: Api, tiered: System) -> None:
    customer = await make_buyer(api)
    await add_grant(tiered, customer.contract["id"], 10 * HOUR)
    await use(tiered, customer, 11 * HOUR)
    invoice = await draft(api, customer)
    assert settlements(invoice) == []
    assert invoice["total"]["amount"] == "6.80"


async def test_overage_at_on_demand_prices_settles_by_the_tiers_of_that_plan(api: Api, system: System) -> None:
    volume = {"mode": "volume", "steps": [{"above": 1, "price": "3.4"}]}
    await publish_card(system, "tiered", TIERED_FROM, plans=with_tiers(gpu_hours=volume))
    customer = await make_buyer(api, plan="prepaid", overage="on_demand")
    hours = 500 * HOUR
    await use(system, customer, hours + 2 * HOUR)
    (line,) = settlements(await draft(api, customer))
    assert (line["amount"]["amount"], line["quantity"]) == ("-6.80", 2 * HOUR)


async def test_usage_of_a_month_changes_no_plan_however_much_it_is(api: Api, tiered: System) -> None:
    """A plan is given by the volume contracted at signing, not by what a month happens to reach."""
    customer = await make_buyer(api)
    await use(tiered, customer, 3000 * HOUR)
    after = await api.get(f"/contracts/{customer.contract['id']}")
    assert (after["plan"], after["gpu_hour_price"], after["queue"]) == ("on_demand", "6.8", "standard")
    usage = [line for line in (await draft(api, customer))["lines"] if line["kind"] == "usage"]
    assert {line["unit_price"] for line in usage} == {"6.8"}
    await use(tiered, customer, HOUR)
    assert (await api.get(f"/contracts/{customer.contract['id']}"))["plan"] == "on_demand"


async def take_back(system: System, job_id: str, gpu_seconds: int) -> None:
    """Take back some of what a job was charged by its largest capture: the house bears it."""
    async with system.work() as work:
        view = await ledger.lock_hold(work, job_id)
        own = select(Capture.id).where(Capture.job_id == job_id)
        capture_id = (await work.session.scalars(own.order_by(Capture.quantity.desc()).limit(1))).one()
        lost = {"borne_for": Cause.MACHINE_LOST, "kind": "lost_work_borne", "reference": job_id}
        await taking_back.take_back(work, view, {capture_id: gpu_seconds}, **lost)
        note_charges(await lock_job(work, job_id), ledger.count_captured(view))


async def test_what_is_taken_back_in_an_open_month_does_not_count(api: Api, tiered: System) -> None:
    customer = await make_buyer(api)
    job_id = await use(tiered, customer, 5 * HOUR)
    await take_back(tiered, job_id, 2 * HOUR)
    invoice = await draft(api, customer)
    assert [(line["amount"]["amount"], line["quantity"]) for line in settlements(invoice)] == [("-1.60", 3 * HOUR)]
    assert invoice["total"]["amount"] == "18.80"


async def test_what_is_taken_back_of_a_closed_month_comes_to_what_it_had_cost(
    api: Api, tiered: System, clock: ManualClock
) -> None:
    """The closed month stays settled as it was: falling below a tier by our doing would cost its customer more."""
    customer = await make_buyer(api)
    job_id = await use(tiered, customer, 5 * HOUR)
    november = await draft(api, customer)
    clock.now = START + timedelta(days=30)
    await api.post(f"/invoices/{november['id']}/finalize")
    await take_back(tiered, job_id, HOUR)
    (line,) = settlements(await draft(api, customer, "2026-12"))
    assert Fraction(line["amount"]["amount"]) == Fraction("6.8") * Fraction("5.2") / 34
    assert line["description"] == "volume tiers of 1.0000 GPU-hours taken back of 2026-11"
    assert await broken_rules(tiered) == {}


async def test_cost_report_has_a_settlement_once_where_all_jobs_are_in_projects(api: Api, tiered: System) -> None:
    customer = await make_buyer(api)
    for name in ("one", "two"):
        project = await api.post("/projects", {"customer_id": customer.id, "name": name}, expect=201)
        await use(tiered, customer, 2 * HOUR, project_id=project["id"])
    rows = (await api.get("/reports/monthly-cost", month=NOVEMBER))["data"]
    told = {row["project"]: (row["cost"]["amount"], row["tier_settlement"]["amount"], row["jobs"]) for row in rows}
    assert told == {"one": ("13.60", "0.00", 1), "two": ("13.60", "0.00", 1), None: ("0.00", "-3.40", 0)}
    assert (await draft(api, customer))["total"]["amount"] == "23.80"
