"""What pools earn and cost: usage as invoices have it, shared by pool, against a rate for each day, idle hours too."""

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

from broker.capacity.cost_rates import CostRates
from broker.reports.pool_margin import compute_cost, list_days
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, staff_key
from tests.broker.reports.finance_world import NOVEMBER, close, make_world

DAY = 86_400
RATES = CostRates([(date(2026, 11, 3), Money(2_000_000)), (date(2026, 11, 5), Money(3_000_000))])


def fen(amount: Any) -> int:
    return int(amount["amount"].replace(".", ""))


def test_each_day_costs_its_own_rate() -> None:
    assert compute_cost({date(2026, 11, 4): 7200, date(2026, 11, 5): 3600}, RATES) == Money(7_000_000)
    assert compute_cost({date(2026, 11, 2): 1}, RATES) is None, "no rate held then"
    assert compute_cost({date(2026, 11, 2): 0}, RATES) == Money(0)
    assert compute_cost({date(2026, 11, 4): 1}, RATES) == Money(0), "0.000555… yuan"


def test_days_are_those_of_the_zone_and_as_long_as_its_clocks_have_them() -> None:
    start, end = datetime(2026, 10, 31, 12, tzinfo=UTC), datetime(2026, 11, 2, 5, tzinfo=UTC)
    assert list_days(start, end, "America/New_York") == {
        date(2026, 10, 31): 16 * 3600,
        date(2026, 11, 1): 25 * 3600,
    }
    assert list_days(end, start, "UTC") == {}


async def test_pools_share_what_is_charged_and_borne_to_the_fen(api: Api, system: System, clock: ManualClock) -> None:
    world = await make_world(api, system)
    costs = await api.get("/reports/monthly-cost", month=NOVEMBER)
    report = await api.get("/reports/pool-margin", month=NOVEMBER)
    assert (report["charged"], report["borne"]) == (costs["cost"], costs["lost"])
    (row,) = report["data"]
    assert (row["pool"], row["used_cost"], row["margin"]) == ("test", None, None)
    assert set(row["borne_by_cause"]) == {"over_promise"}
    body = {"per_gpu_hour": "2.35", "begins_on": "2026-11-01"}
    rate = await api.post("/pools/test/cost-rates", body, expect=201)
    assert (rate["per_gpu_hour"]["amount"], rate["begins_on"]) == ("2.35", "2026-11-01")
    await close(api, clock, world)
    (row,) = (closed := await api.get("/reports/pool-margin", month=NOVEMBER))["data"]
    assert (closed["charged"], closed["borne"]) == (report["charged"], report["borne"])
    assert abs(fen(row["used_cost"]) - float(row["used_gpu_hours"]) * 235) < 1
    assert float(row["used_gpu_hours"]) > costs["gpu_seconds"] / 3600, "what is borne was used, too"
    assert fen(row["margin"]) == fen(row["charged"]) - fen(row["used_cost"]) - fen(row["idle_cost"])
    answer = await api.call("GET", "/reports/pool-margin", expect=200, params={"month": NOVEMBER, "format": "csv"})
    (cells,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert cells["margin"] == row["margin"]["amount"]


async def test_the_rate_set_last_for_a_day_holds_and_the_others_stay_on_record(api: Api, system: System) -> None:
    await make_world(api, system)
    async with Api.connect(api.app, await staff_key(api, "ops")) as ops:
        for cost in ("2.00", "2.50"):
            body = {"per_gpu_hour": cost, "begins_on": "2026-11-01"}
            await ops.post("/pools/test/cost-rates", body, expect=201)
        refused = await ops.post(
            "/pools/test/cost-rates", {"per_gpu_hour": "-1", "begins_on": "2026-11-01"}, expect=422
        )
        assert refused["errors"][0]["field"] == "per_gpu_hour"
        await ops.post("/pools/nobody/cost-rates", body, expect=404)
        listed = (await ops.get("/pools/test/cost-rates"))["data"]
    assert [rate["per_gpu_hour"]["amount"] for rate in listed] == ["2.50", "2.00"]
    (row,) = (await api.get("/reports/pool-margin", month=NOVEMBER))["data"]
    hours = float(row["used_gpu_hours"])
    assert abs(fen(row["used_cost"]) - hours * 250) < 1
