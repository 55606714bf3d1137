"""Grants over the API: given, listed with what is left, made void; what each has paid for."""

from datetime import timedelta
from typing import Any

import pytest

from broker.system import System
from tests.broker.conftest import START, ManualClock
from tests.broker.factories import Api, customer_api, make_customer, make_ready_customer, sign_contract
from tests.broker.running_jobs import HOUR, broken_rules, report_usage, settle, start_job


async def give(api: Api, contract_id: str, *, expect: int = 201, **fields: Any) -> Any:
    body = {"contract_id": contract_id, "kind": "promotional", "gpu_hours": "50", "reason": "welcome", **fields}
    return await api.post("/grants", {name: value for name, value in body.items() if value is not None}, expect=expect)


async def test_gift_is_paid_out_of_first_and_shows_what_is_left(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", ends_at="2029-01-01T00:00:00Z")
    gift = await give(api, customer.contract["id"])
    assert (gift["kind"], gift["status"], gift["left"], gift["gpu_hours"]) == (
        "promotional",
        "active",
        50 * HOUR,
        "50.0000",
    )
    assert (gift["effective_at"], gift["expires_at"]) == ("2026-11-10T04:00:00Z", "2027-11-10T04:00:00Z")
    job = await start_job(system, customer, gpu_seconds=20 * HOUR, tokens=0)
    clock.advance(hours=1)
    await report_usage(system, job, gpu_seconds=10 * HOUR)
    after = await api.get(f"/grants/{gift['id']}")
    assert (after["left"], after["held"], after["used"], after["gone"]) == (30 * HOUR, 10 * HOUR, 10 * HOUR, 0)
    assert (after["used_percent"], after["left_percent"], after["days_left"]) == ("20.0", "60.0", "0.1")
    draws = await api.get(f"/grants/{gift['id']}/draws")
    (draw,) = draws["data"]
    assert (draw["job_id"], draw["quantity"], draw["meter"], draw["unit_price"]) == (
        job.id,
        10 * HOUR,
        "gpu_seconds",
        "5.2",
    )
    invoice = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    assert invoice["total"]["amount"] == "0.00"
    await settle(system, job)
    assert (await api.get(f"/grants/{gift['id']}"))["left"] == 40 * HOUR
    assert await broken_rules(system) == {}


async def test_coverage_tells_shares_and_days_left(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    await give(api, customer.contract["id"], gpu_hours="30")
    await give(api, customer.contract["id"], gpu_hours=None, tokens=1000)
    job = await start_job(system, customer, gpu_seconds=40 * HOUR, tokens=4000)
    await report_usage(system, job, gpu_seconds=40 * HOUR, tokens=250)
    coverage = await api.get(f"/contracts/{customer.contract['id']}/coverage")
    hours, tokens = coverage["meters"]
    other = await make_ready_customer(api)
    await report_usage(system, await start_job(system, other), gpu_seconds=60)
    without = (await api.get(f"/contracts/{other.contract['id']}/coverage"))["meters"][0]
    assert (without["covered_percent"], without["days_left"]) == ("0.0", None)
    shares = ("used_percent", "covered_percent", "left_percent", "days_left")
    assert [hours[name] for name in shares] == ["100.0", "75.0", "0.0", "0.0"]
    assert [tokens[name] for name in shares] == ["25.0", "100.0", "0.0", "0.0"]
    await settle(system, job)
    tokens = (await api.get(f"/contracts/{customer.contract['id']}/coverage"))["meters"][1]
    # 250 tokens since the contract began 9 days and 4 hours ago; 750 last for three times as long.
    assert (tokens["left"], tokens["left_percent"], tokens["days_left"]) == (750, "75.0", "27.5")


async def test_list_is_filtered_and_paged_and_a_customer_sees_its_own(api: Api) -> None:
    customer, other = await make_ready_customer(api, plan="prepaid"), await make_ready_customer(api)
    first = await give(api, customer.contract["id"], kind="compensation")
    await give(api, other.contract["id"])
    async with customer_api(api, customer.id) as own:
        page = await own.get("/grants", limit=1)
        rest = await own.get("/grants", limit=1, cursor=page["next_cursor"])
        gifts = await own.get("/grants", kind="compensation", status="active", contract_id=customer.contract["id"])
        await own.get(f"/grants/{first['id']}")
        await own.post("/grants", {}, expect=403)
    assert [each["kind"] for each in (*page["data"], *rest["data"])] == ["compensation", "bought"]
    assert rest["next_cursor"] is None
    assert [each["id"] for each in gifts["data"]] == [first["id"]]


async def test_draws_come_in_pages_newest_first(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    gift = await give(api, customer.contract["id"])
    job = await start_job(system, customer)
    for count in (1, 2, 3):
        await report_usage(system, job, gpu_seconds=count)
    page = await api.get(f"/grants/{gift['id']}/draws", limit=2)
    rest = await api.get(f"/grants/{gift['id']}/draws", limit=2, cursor=page["next_cursor"])
    assert [draw["quantity"] for draw in (*page["data"], *rest["data"])] == [3, 2, 1]
    assert rest["next_cursor"] is None


async def test_void_says_why_and_takes_the_rest_back(api: Api) -> None:
    customer = await make_ready_customer(api)
    gift = await give(api, customer.contract["id"])
    voided = await api.post(f"/grants/{gift['id']}/void", {"reason": "given twice"})
    assert (voided["status"], voided["left"], voided["gone"]) == ("void", 0, 50 * HOUR)
    assert voided["reason"] == "given twice"
    assert await api.post(f"/grants/{gift['id']}/void", {"reason": "again"}) == voided
    await api.post(f"/grants/{gift['id']}/void", {}, expect=422)
    unpaid = await make_unpaid_grant(api, customer.id)
    await api.post(f"/grants/{unpaid}/void", {"reason": "x"}, expect=409)


async def make_unpaid_grant(api: Api, customer_id: str) -> str:
    terms = {"customer_id": customer_id, "plan": "prepaid", "committed_gpu_hours": 500}
    contract = await api.post("/contracts", terms, expect=201)
    (grant,) = (await api.get("/grants", contract_id=contract["id"]))["data"]
    assert (grant["status"], grant["left"]) == ("pending", 0)
    return str(grant["id"])


ENDS = "2027-01-01T00:00:00Z"
BAD = [
    ({"gpu_hours": "0"}, "gpu_hours"),
    ({"gpu_hours": "-5"}, "gpu_hours"),
    ({"gpu_hours": "NaN"}, "gpu_hours"),
    ({"gpu_hours": "1e30"}, "gpu_hours"),
    ({"gpu_hours": "0.0001"}, "body"),
    ({"gpu_hours": None, "tokens": -1}, "tokens"),
    ({"tokens": 5}, "body"),
    ({"gpu_hours": None}, "body"),
    ({"kind": "bought"}, "kind"),
    ({"reason": " "}, "reason"),
    ({"reason": "a\u0000b"}, "reason"),
    ({"scope": {"gpu_type": "abacus"}}, "scope.gpu_type"),
    ({"scope": {"colour": "red"}}, "scope.colour"),
    ({"effective_at": "2026-10-31T23:59:59Z"}, "effective_at"),
    ({"effective_at": ENDS}, "effective_at"),
    ({"effective_at": "2026-12-01T00:00:00"}, "effective_at"),
    ({"expires_at": "2026-11-10T04:00:00Z"}, "expires_at"),
    ({"effective_at": "2026-12-02T00:00:00Z", "expires_at": "2026-12-01T00:00:00Z"}, "expires_at"),
    ({"expires_at": "2027-01-01T00:00:01Z"}, "expires_at"),
]


async def test_bad_gift_is_refused_by_its_field_and_nothing_is_written(api: Api) -> None:
    customer = await make_ready_customer(api, ends_at=ENDS)
    faults = []
    for fields, field in BAD:
        problem = await give(api, customer.contract["id"], expect=422, **fields)
        if field not in {error["field"] for error in problem["errors"]} | {"body"}:
            faults.append((fields, problem["errors"]))
    assert faults == []
    assert (await api.get("/grants"))["data"] == []


async def test_gift_for_a_project_of_another_customer_is_not_found(api: Api) -> None:
    customer, other = await make_ready_customer(api), await make_ready_customer(api)
    project = (await api.post("/projects", {"customer_id": other.id, "name": "theirs"}, expect=201))["id"]
    await give(api, customer.contract["id"], expect=404, scope={"project_id": project})
    await give(api, "con_nobody", expect=404)


@pytest.mark.parametrize(("begins", "expires"), [(None, "2027-01-01T00:00:00Z"), (12, "2027-01-01T00:00:00Z")])
async def test_gift_ends_with_its_contract_where_that_is_earlier(api: Api, begins: int | None, expires: str) -> None:
    customer = await make_ready_customer(api, ends_at=ENDS)
    effective_at = None if begins is None else (START + timedelta(days=begins)).isoformat()
    gift = await give(api, customer.contract["id"], effective_at=effective_at)
    assert gift["expires_at"] == expires
    assert gift["status"] == ("active" if begins is None else "scheduled")


async def test_cancelled_contract_gets_nothing_more(api: Api) -> None:
    contract = await sign_contract(api, (await make_customer(api))["id"], starts_at="2026-12-01T00:00:00Z")
    await api.post(f"/contracts/{contract['id']}/cancel")
    assert "cancelled" in (await give(api, contract["id"], expect=409))["detail"]
