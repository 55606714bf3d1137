"""The FOCUS export: its costs are the invoices', its columns and values those that the format allows."""

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any

from broker.reports.focus.columns import ADDED_BY_1_3, ALLOWED, COLUMNS, NEVER_NULL
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.reports.finance_world import DECEMBER, NOVEMBER, TAXED, close, make_world

MOMENTS = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")


async def export(api: Api, month: str, **asked: str) -> list[dict[str, str]]:
    answer = await api.call("GET", "/reports/focus", expect=200, params={"month": month, **asked})
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def add(rows: list[dict[str, str]], column: str = "BilledCost", **wanted: str) -> Decimal:
    kept = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return sum((Decimal(row[column]) for row in kept), Decimal(0))


async def list_final(api: Api) -> list[Any]:
    invoices = (await api.get("/invoices", limit=100))["data"]
    return [invoice for invoice in invoices if invoice["status"] not in {"draft", "void"}]


async def test_billed_costs_are_what_the_final_invoices_ask_for(api: Api, system: System, clock: ManualClock) -> None:
    world = await make_world(api, system)
    sold = await export(api, NOVEMBER)
    assert {row["ChargeCategory"] for row in sold} == {"Purchase", "Tax"}, "nothing else is final yet"
    await close(api, clock, world)
    rows = await export(api, NOVEMBER)
    assert add(rows) == sum(Decimal(invoice["total"]["amount"]) for invoice in await list_final(api))
    assert add(rows, ChargeCategory="Purchase", SubAccountId="", ResourceType="Grant") == 2600
    assert add(rows, ChargeCategory="Tax") > 0
    assert add(rows, ChargeCategory="Adjustment") < 0, "volume tiers"
    (unused,) = [row for row in rows if row["CommitmentDiscountStatus"] == "Unused"]
    assert (unused["BilledCost"], unused["PricingQuantity"]) == ("5600.00", "1399.99972222222"), (
        "600 h and a second used"
    )
    usage = [row for row in rows if row["ChargeCategory"] == "Usage" and row != unused]
    assert add(usage, "ListCost") >= add(usage, "ContractedCost")
    report = await api.get("/reports/monthly-cost", month=NOVEMBER)
    assert add(usage, "ContractedCost") == Decimal(report["cost"]["amount"])
    assert add(usage, "ListCost") == Decimal(report["list_cost"]["amount"])


async def test_what_was_bought_ahead_costs_as_it_is_used_and_a_gift_nothing(
    api: Api, system: System, clock: ManualClock
) -> None:
    world = await make_world(api, system)
    await close(api, clock, world)
    prepaid = await export(api, NOVEMBER, customer_id=world.prepaid.id)
    covered = [row for row in prepaid if row["CommitmentDiscountStatus"] == "Used"]
    assert add(covered) == 0
    report = await api.get("/reports/monthly-cost", month=NOVEMBER, customer_id=world.prepaid.id)
    assert add(covered, "EffectiveCost") == Decimal(report["advance"]["amount"])
    assert add(prepaid, "EffectiveCost", ResourceType="Grant") == 0
    applied = [json.loads(row["ContractApplied"])["Elements"] for row in covered]
    assert {element["ContractId"] for elements in applied for element in elements} == {world.prepaid.contract["id"]}
    gifted = await export(api, NOVEMBER, customer_id=world.capped.id)
    assert add(gifted, "EffectiveCost", CommitmentDiscountType="promotional") == 0
    assert add(gifted, "ContractedCost", CommitmentDiscountType="promotional") > 0


async def test_a_void_order_stays_in_the_month_of_its_sale_and_is_taken_back_in_that_of_its_end(
    api: Api, clock: ManualClock
) -> None:
    """Its rows were gone from a month that tools had read already, and came back nowhere; this guards against it."""
    customer = await make_ready_customer(api, plan="prepaid", **TAXED)
    order = {"contract_id": customer.contract["id"], "gpu_hours": "100"}
    sold = await api.post("/purchases", order, expect=201)
    before = await export(api, NOVEMBER)
    clock.advance(days=25)
    await api.post(f"/purchases/{sold['id']}/cancel")
    assert await export(api, NOVEMBER) == before
    taken_back = await export(api, DECEMBER)
    own = [each for each in before if each["InvoiceId"] == taken_back[0]["InvoiceId"]]
    assert {(row["ChargeClass"], row["ResourceType"]) for row in taken_back} == {("Correction", "Grant")}
    for cost in COSTS:
        assert add(taken_back, cost) == -add(own, cost), cost
    told = [(row["ChargeCategory"], row["BilledCost"], row["EffectiveCost"]) for row in taken_back]
    assert told == [("Purchase", "-520.00", "0.00"), ("Tax", "-31.20", "-31.20")], "no purchase has an effective cost"


async def test_columns_and_values_are_those_of_the_format(api: Api, system: System, clock: ManualClock) -> None:
    invoice = (await close(api, clock, await make_world(api, system)))[1]
    lines = [{"position": 1, "amount": "0.01"}]
    await api.post("/credit-notes", {"invoice_id": invoice["id"], "reason": "x", "lines": lines}, expect=201)
    for version in ("1.2", "1.3"):
        for month in (NOVEMBER, DECEMBER):
            rows = await export(api, month, version=version)
            assert rows
            assert tuple(rows[0]) == COLUMNS[version]
            for row in rows:
                check(row)
    assert set(ADDED_BY_1_3) <= set(rows[0])
    (note,) = await export(api, DECEMBER)
    assert (note["ChargeCategory"], note["ChargeClass"], note["BilledCost"]) == ("Credit", "Correction", "-0.01")


def check(row: dict[str, str]) -> None:
    assert {name for name in NEVER_NULL & row.keys() if not row[name]} == set()
    assert {name: row[name] for name, values in ALLOWED.items() if row[name] and row[name] not in values} == {}
    for name in COSTS:
        assert Decimal(row[name]).is_finite()
    for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"):
        assert MOMENTS.fullmatch(row[name]), name
    assert row["BillingPeriodStart"] < row["BillingPeriodEnd"]
    assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
    assert row["BillingCurrency"] == "CNY"
    json.loads(row["Tags"])
    pairs = (("ConsumedQuantity", "ConsumedUnit"), ("PricingQuantity", "PricingUnit"), ("ResourceId", "ResourceType"))
    for one, other in (*pairs, ("SubAccountId", "SubAccountType"), ("CommitmentDiscountId", "CommitmentDiscountUnit")):
        assert bool(row[one]) == bool(row[other]), one
    assert bool(row["CommitmentDiscountStatus"]) == (
        row["ChargeCategory"] == "Usage" and bool(row["CommitmentDiscountId"])
    )
    if row["ChargeCategory"] in {"Tax", "Credit"}:
        assert not row["PricingCategory"]


async def test_a_customer_gets_its_own_rows_and_no_cell_is_a_formula(
    api: Api, system: System, clock: ManualClock
) -> None:
    world = await make_world(api, system)
    await close(api, clock, world)
    async with customer_api(api, world.prepaid.id) as own:
        rows = await export(own, NOVEMBER)
    assert {row["BillingAccountId"] for row in rows} == {world.prepaid.id}
    assert {row["SubAccountName"] for row in rows} == {"", "brand-tone"}
