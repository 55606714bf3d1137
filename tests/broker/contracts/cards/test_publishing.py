"""Rate cards over the API: published once, listed with their prices, refused field by field."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

from broker.contracts.cards.publishing import find_refusals
from pricing.rate_card import RateCard, load_rate_cards
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, make_customer, sign_contract, staff_key

FIRST = load_rate_cards()["2026-01-01"]
GPU_TIERS = {
    "gpu_hours": {"mode": "graduated", "steps": [{"above": 100, "price": "6"}, {"above": 500, "price": "5.5"}]}
}


def make_document(**changes: Any) -> dict[str, Any]:
    return {**FIRST.to_json_dict(), "version": "2027-01-01", "effective_from": "2027-01-01", **changes}


def change_plan(**changes: Any) -> dict[str, Any]:
    plans = make_document()["plans"]
    return make_document(plans={**plans, "on_demand": {**plans["on_demand"], **changes}})


async def test_a_published_card_is_shown_as_it_was_sent(api: Api) -> None:
    document = make_document(gpu_multipliers={"h100-80g": "2.5"})
    document["plans"]["on_demand"]["tiers"] = GPU_TIERS
    published = await api.post("/rate-cards", document, expect=201)
    assert published["id"] == published["version"] == "2027-01-01"
    assert (published["status"], published["gpu_multipliers"]) == ("upcoming", {"h100-80g": "2.5"})
    assert published["plans"]["on_demand"]["tiers"] == {**GPU_TIERS, "tokens": None}
    assert published["plans"]["long_term"]["per_gpu_hour"] == "4"
    assert await api.get("/rate-cards/2027-01-01") == published
    await api.get("/rate-cards/2028-01-01", expect=404)


async def test_a_card_is_in_force_from_its_day_in_the_brokers_time_zone(api: Api, clock: ManualClock) -> None:
    customer = await make_customer(api)
    await api.post("/rate-cards", change_plan(per_gpu_hour="7.0"), expect=201)
    clock.now = datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)  # a second before the year begins in Shanghai
    statuses = {each["version"]: each["status"] for each in (await api.get("/rate-cards"))["data"]}
    assert statuses == {"2027-01-01": "upcoming", "half": "in_force", "2026-01-01": "superseded"}
    old = await sign_contract(api, customer["id"], starts_at=clock.now.isoformat())
    clock.advance(seconds=1)
    assert (await api.get("/rate-cards/2027-01-01"))["status"] == "in_force"
    new = await sign_contract(api, customer["id"], starts_at=clock.now.isoformat())
    assert (old["rate_card_version"], old["gpu_hour_price"]) == ("half", "3.4")
    assert (new["rate_card_version"], new["gpu_hour_price"]) == ("2027-01-01", "7")


async def test_the_list_has_pages_of_the_latest_days_first(api: Api) -> None:
    await api.post("/rate-cards", make_document(), expect=201)
    first = await api.get("/rate-cards", limit=2)
    rest = await api.get("/rate-cards", limit=2, cursor=first["next_cursor"])
    assert [each["version"] for each in first["data"] + rest["data"]] == ["2027-01-01", "half", "2026-01-01"]
    assert rest["next_cursor"] is None


async def test_a_version_is_published_once_whoever_else_publishes_it_at_the_same_time(api: Api) -> None:
    answers = await asyncio.gather(*(api.call("POST", "/rate-cards", json=make_document()) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    cheaper = await api.post("/rate-cards", change_plan(per_gpu_hour="0.1"), expect=409)
    assert cheaper["errors"][0]["field"] == "version"
    assert (await api.get("/rate-cards/2027-01-01"))["plans"]["on_demand"]["per_gpu_hour"] == "6.8"


async def test_finance_publishes_and_ops_does_not(api: Api) -> None:
    for role, expect in (("finance", 201), ("ops", 403)):
        async with Api.connect(api.app, await staff_key(api, role)) as staff:
            await staff.post("/rate-cards", make_document(version=role), expect=expect)


STEP = {"above": 100, "price": "6"}
PRICE, TIERS = "plans.on_demand.per_gpu_hour", "plans.on_demand.tiers"
BAD = [
    (change_plan(per_gpu_hour=6.8), PRICE),
    (change_plan(per_gpu_hour=7), PRICE),
    (change_plan(per_gpu_hour="NaN"), PRICE),
    (change_plan(per_gpu_hour="-6.8"), PRICE),
    (change_plan(per_gpu_hour="6.8 yuan"), PRICE),
    (change_plan(minimum_commit_gpu_hours=1), "plans.on_demand.minimum_commit_gpu_hours"),
    (change_plan(advance="yes"), "plans.on_demand.advance"),
    (change_plan(per_hour="1"), "plans.on_demand.per_hour"),
    (change_plan(tiers={"gpu_days": GPU_TIERS["gpu_hours"]}), f"{TIERS}.gpu_days"),
    (change_plan(tiers={"tokens": {"mode": "graduated"}}), f"{TIERS}.tokens.steps"),
    (
        change_plan(tiers={"gpu_hours": {"mode": "volume", "steps": [STEP, {**STEP, "price": "5"}]}}),
        f"{TIERS}.gpu_hours.steps.1.above",
    ),
    (
        change_plan(tiers={"gpu_hours": {"mode": "volume", "steps": [STEP, {**STEP, "above": 50, "price": "5"}]}}),
        f"{TIERS}.gpu_hours.steps.1.above",
    ),
    (
        change_plan(tiers={"gpu_hours": {"mode": "volume", "steps": [{**STEP, "price": "6.9"}]}}),
        f"{TIERS}.gpu_hours.steps.0.price",
    ),
    (make_document(currency="USD"), "currency"),
    (make_document(currency="yuan"), "currency"),
    (make_document(version="2027\x0001"), "version"),
    (make_document(version="next year"), "version"),
    (make_document(version=""), "version"),
    (make_document(effective_from="2026-11-10"), "effective_from"),  # today
    (make_document(effective_from="2019-01-01"), "effective_from"),
    (make_document(effective_from="2999-01-01"), "effective_from"),
    (make_document(effective_from=1_800_000_000), "effective_from"),
    (make_document(effective_from="soon"), "effective_from"),
    (make_document(plans={"on_demand": make_document()["plans"]["on_demand"]}), "plans"),
    (make_document(gpu_multipliers={"h100-80g": 2.5}), "gpu_multipliers.h100-80g"),
    (make_document(gpu_multipliers={"h100-80g": "0"}), "gpu_multipliers.h100-80g"),
    (make_document(gpu_multipliers={"voodoo-2": "2"}), "gpu_multipliers.voodoo-2"),
    (make_document(gpu_multipliers={"H100": "2"}), "gpu_multipliers.H100"),
    (make_document(plan={}), "plan"),
]


async def test_a_bad_card_is_refused_by_the_names_of_its_fields_and_nothing_is_published(api: Api) -> None:
    faults = {}
    for body, field in BAD:
        problem = await api.post("/rate-cards", body, expect=422)
        told = {error["field"] for error in problem["errors"]}
        if not any(name == field or (field == "gpu_multipliers.h100-80g" and field in name) for name in told):
            faults[field] = problem
    assert faults == {}
    assert [each["version"] for each in (await api.get("/rate-cards"))["data"]] == ["half", "2026-01-01"]


@pytest.mark.parametrize(
    ("now", "first_day"),
    [
        (datetime(2026, 12, 30, 9, 59, 59, tzinfo=UTC), date(2026, 12, 31)),
        (datetime(2026, 12, 30, 10, tzinfo=UTC), date(2027, 1, 1)),  # on Kiritimati the 31st begins
        (START, date(2026, 11, 11)),
    ],
)
def test_a_card_begins_on_a_day_that_has_begun_nowhere_yet(now: datetime, first_day: date) -> None:
    """On an earlier day some contract may have been charged by another card: it would be priced anew."""

    def is_refused(day: date) -> bool:
        card = RateCard.from_json_dict(make_document(effective_from=day))
        return any(found.field == "effective_from" for found in find_refusals(card, now))

    assert not is_refused(first_day)
    assert is_refused(date.fromordinal(first_day.toordinal() - 1))
