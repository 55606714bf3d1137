"""GPUs are guaranteed at signing and by amendment, never more than there are; the month's invoice charges for them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from broker import errors
from broker.billing.service import list_undrafted_months
from broker.contracts.terms.agreed import GuaranteedGpus
from broker.contracts.terms.guarantees import GuaranteedPeriod
from broker.signing.guarantees import check_capacity, foresee_renewals
from broker.system import System
from pricing.plans import PlanName
from tests.broker.conftest import ManualClock
from tests.broker.contract_terms import make_terms
from tests.broker.factories import Api, amend_contract, make_customer, sign_contract
from tests.broker.pools import register_pool
from tests.broker.running_jobs import broken_rules

NOVEMBER, DECEMBER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def period(gpus: int, begins_at: datetime = NOVEMBER, ends_at: datetime | None = None) -> GuaranteedPeriod:
    return GuaranteedPeriod(GuaranteedGpus("cpu", gpus, 0), begins_at, ends_at)


@pytest.mark.parametrize(
    ("gpus", "sold", "there", "told"),
    [
        (9, [], {"cpu": 8}, "asks for 9 cpu; all pools together have 8: ask for at most 8, or add machines first"),
        (
            3,
            [period(6)],
            {"cpu": 8},
            "asks for 3 cpu; all pools together have 8, of which 6 are guaranteed to others in that time: ask for at",
        ),
        (1, [period(4, ends_at=DECEMBER), period(8, DECEMBER)], {"cpu": 8}, "asks for 1 cpu; all pools together have"),
        (1, [], {"h200": 8}, "no pool has cpu; there are: h200"),
        (1, [], {}, "no pool has cpu; there are: none"),
    ],
)
def test_guarantee_above_capacity_is_refused_with_what_is_left(
    gpus: int, sold: list[GuaranteedPeriod], there: dict[str, int], told: str
) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        check_capacity([period(gpus)], sold, there)
    (found,) = refused.value.errors
    assert (found.field, found.message[: len(told)]) == ("guaranteed_gpus", told)


def test_what_others_are_guaranteed_before_or_after_leaves_room() -> None:
    check_capacity([period(8, ends_at=DECEMBER)], [period(8, DECEMBER)], {"cpu": 8})
    check_capacity([period(4)], [period(4, ends_at=DECEMBER), period(4, DECEMBER)], {"cpu": 8})


def test_what_renews_itself_is_not_sold_from_its_end_on() -> None:
    """Sold, its renewal would have been refused a week before its end, and nobody would have noticed."""
    one = make_terms(id="con_1", plan=PlanName.LONG_TERM, ends_at=DECEMBER, auto_renew=True)
    plain = replace(one, id="con_2", auto_renew=False)
    assert [each.ends_at for each in foresee_renewals([one, plain], {None}, NOVEMBER)] == [None, DECEMBER]
    assert [each.ends_at for each in foresee_renewals([one], {"con_1"}, NOVEMBER)] == [DECEMBER], "it is renewed"
    assert [each.ends_at for each in foresee_renewals([one], {None}, DECEMBER)] == [DECEMBER], "nothing followed it"


async def test_what_renews_itself_is_refused_where_its_renewals_are_sold_already(
    api: Api, system: System, clock: ManualClock
) -> None:
    """It was signed, and its renewal was refused a week before its end, when nobody looked."""
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=8)
    clock.now = NOVEMBER
    one, other = [(await make_customer(api))["id"] for _ in range(2)]
    plan = {"plan": "long_term", "committed_gpu_hours": 2000, "time_zone": "UTC", "guaranteed_gpus": ask(6)}
    await sign_contract(api, one, **plan, starts_at=datetime(2027, 6, 1, tzinfo=UTC).isoformat())
    refused = await sign_contract(api, other, expect=422, **plan, ends_at=DECEMBER.isoformat(), auto_renew=True)
    (found,) = refused["errors"]
    assert found["field"] == "auto_renew"
    assert (
        "of which 6 are guaranteed to others in that time: ask for at most 2, or add machines first, or let it end"
        in (found["message"])
    )
    plain = await sign_contract(api, other, **plan, ends_at=DECEMBER.isoformat())
    await api.post(f"/contracts/{plain['id']}/renewal", {"renew": True})  # of November's length: June is not in it


async def test_what_was_renewed_without_its_guarantee_is_sold_to_others(
    api: Api, system: System, clock: ManualClock
) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=8)
    clock.now = NOVEMBER
    one, other = [(await make_customer(api))["id"] for _ in range(2)]
    plan = {"plan": "long_term", "committed_gpu_hours": 2000, "time_zone": "UTC"}
    term = {"ends_at": DECEMBER.isoformat(), "auto_renew": True, "guaranteed_gpus": ask(8)}
    first = await sign_contract(api, one, **plan, **term)
    later = {"starts_at": datetime(2027, 1, 1, tzinfo=UTC).isoformat(), "guaranteed_gpus": ask(8)}
    await sign_contract(api, other, expect=422, **plan, **later)
    await api.post(f"/contracts/{first['id']}/renewal", {"renew": True, "plan": "on_demand", "committed_gpu_hours": 0})
    await sign_contract(api, other, **plan, **later)


def ask(gpus: int, price: str = "900.00", gpu_type: str = "cpu") -> list[dict[str, Any]]:
    return [{"gpu_type": gpu_type, "gpus": gpus, "monthly_price": price}]


async def test_guarantee_is_signed_amended_and_invoiced(api: Api, system: System, clock: ManualClock) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=8)
    clock.now = NOVEMBER
    customer = await make_customer(api)
    plan = {"plan": "long_term", "committed_gpu_hours": 2000, "time_zone": "UTC"}
    refused = await sign_contract(api, customer["id"], expect=422, **plan, guaranteed_gpus=ask(9))
    assert refused["errors"][0]["field"] == "guaranteed_gpus"
    twice = await sign_contract(api, customer["id"], expect=422, **plan, guaranteed_gpus=[*ask(1), *ask(2)])
    assert twice["errors"][0]["field"] == "guaranteed_gpus.1.gpu_type"
    on_demand = await sign_contract(api, customer["id"], expect=422, guaranteed_gpus=ask(1))
    assert "long_term" in on_demand["errors"][0]["message"]

    signed = await sign_contract(api, customer["id"], **plan, guaranteed_gpus=ask(4))
    price = {"amount": "900.00", "currency": "CNY"}
    assert signed["guaranteed_gpus"] == [{"gpu_type": "cpu", "gpus": 4, "monthly_price": price}]
    other = await make_customer(api)
    refused = await sign_contract(api, other["id"], expect=422, **plan, guaranteed_gpus=ask(5))
    assert "of which 4 are guaranteed to others" in refused["errors"][0]["message"]

    clock.now = datetime(2026, 11, 16, tzinfo=UTC)
    past = await amend_contract(
        api, signed["id"], expect=422, effective_at="2026-11-10T00:00:00Z", guaranteed_gpus=ask(8)
    )
    assert past["errors"][0]["field"] == "effective_at"
    amended = await amend_contract(api, signed["id"], guaranteed_gpus=ask(8, "1000.00"))
    (change,) = amended["changes"]
    assert (change["before"], change["after"]) == (ask(4), ask(8, "1000.00"))
    draft = await api.post("/invoices", {"contract_id": signed["id"], "month": "2026-11"}, expect=201)
    assert [(line["kind"], line["description"], line["amount"]["amount"]) for line in draft["lines"]] == [
        ("guarantee", "4 guaranteed cpu at 900.00 a month each, 2026-11-01 00:00 to 2026-11-16 00:00", "1800.00"),
        ("guarantee", "8 guaranteed cpu at 1000.00 a month each, 2026-11-16 00:00 to 2026-12-01 00:00", "4000.00"),
    ]

    clock.now = datetime(2026, 12, 2, tzinfo=UTC)
    async with system.work() as work:
        assert (signed["id"], "2026-12") in await list_undrafted_months(work)
    final = await api.post(f"/invoices/{draft['id']}/finalize")
    assert final["total"]["amount"] == "5800.00"
    cancelled = await api.post(f"/contracts/{signed['id']}/cancel", expect=409)
    assert "end it instead" in cancelled["detail"]
    on_demand = await amend_contract(api, signed["id"], plan="prepaid", committed_gpu_hours=500)
    assert {"field": "guaranteed_gpus", "before": ask(8, "1000.00"), "after": []} in on_demand["changes"]
    assert await broken_rules(system) == {}
