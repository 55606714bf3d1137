"""Commitments with a burn-down, plan advice, and the reconciliation."""

import pytest

from broker.console.finance import commitments_view
from broker.console.finance.burn_down_chart import place_burn_down
from broker.console.finance.waterfall import place_waterfall
from broker.reports.commitments.trace import BurnDownTrace, Point
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import START, ManualClock
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api, make_ready_customer
from tests.broker.http.test_paging import counted
from tests.broker.payments.receipts import make_debtor, order
from tests.broker.reports.finance_world import use
from tests.broker.running_jobs import HOUR

COMMITMENTS = "/console/finance/commitments"
ADVICE = "/console/finance/plan-advice"
RECONCILIATION = "/console/finance/reconciliation"


async def test_nobody_has_committed_to_anything(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(COMMITMENTS)
        assert [shown.state_of(panel) for panel in ("contracts", "grants", "orders")] == ["never"] * 3
        assert (await finance.open(COMMITMENTS, days="30")).state_of("grants") == "none_match"


async def test_a_commitment_is_drawn_with_its_range_of_days(
    api: Api, system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepaid = await make_ready_customer(api, plan="prepaid", overage="contract", contract_number="HT-9")
    await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    for hours in (20, 30, 40):
        await use(system, prepaid, hours * HOUR, 0)
        clock.advance(days=7)
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(COMMITMENTS, contract_id=prepaid.contract["id"])
        assert "410 h left, used up around 2027-03-2" in shown.text
        assert len(shown.tree.css("#contracts svg polygon.band")) == 1
        assert len(shown.tree.css("#contracts svg polyline")) == 3
        assert len(shown.words_of("#contracts table.rows tbody tr")) == 2
        with monkeypatch.context() as fewer:
            fewer.setattr(commitments_view, "SHOWN", 1)
            short = await finance.open(COMMITMENTS, contract_id=prepaid.contract["id"])
        assert len(short.words_of("#contracts table.rows tbody tr")) == 1
        assert short.words_of("#contracts .figure") == shown.words_of("#contracts .figure"), "sums are of all"
        csv = await finance.open(shown.attributes("#contracts .files a", "href")[0])
        assert "410.0000" in csv.response.text


async def test_orders_that_wait_for_their_payment_are_told(api: Api) -> None:
    debtor = await make_debtor(api)
    await api.post(f"/invoices/{debtor.invoice_id}/pay")
    await order(api, debtor)
    async with sign_in_staff(api, "finance", language="zh") as finance:
        shown = await finance.open(COMMITMENTS)
    assert "¥52.00" in shown.find("#orders tbody tr")


async def test_statements_do_not_grow_with_the_commitments(api: Api, system: System) -> None:
    counts = []
    async with sign_in_staff(api, "finance") as finance:
        for more in (1, 3):
            for _ in range(more):
                await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
            with counted(system) as statements:
                await finance.open(COMMITMENTS)
            counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_advice_puts_saving_and_worst_case_first(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, starts_at="2026-10-31T16:00:00Z")
    name = (await api.get(f"/customers/{customer.id}"))["name"]
    await use(system, customer, 600 * HOUR, 1_000_000)
    async with sign_in_staff(api, "finance") as finance:
        assert "Choose a customer" in (await finance.open(ADVICE)).text
        assert (await finance.open(ADVICE, customer=name)).state_of("advice") == "never"
        await finance.open(ADVICE, customer="nobody", expect=200)
    clock.advance(days=30)
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(ADVICE, customer=name)
        figures = shown.words_of("#advice .figure")
        assert [each.split()[0] for each in figures[:2]] == ["Saves", "Worst"]
        report = await api.get("/reports/plan-advice", customer_id=customer.id)
        assert len(shown.tree.css("#advice svg circle")) == len(report["data"])
        assert report["data"][0]["saving"]["amount"].replace(".", "") in figures[0].replace(",", "").replace(".", "")


async def test_the_chain_is_reconciled_link_by_link(api: Api, system: System) -> None:
    async with sign_in_staff(api, "finance") as finance:
        assert "Differences — the books were not reconciled yet" in (await finance.open(RECONCILIATION)).text
        assert (await finance.open(RECONCILIATION, show="links")).state_of("links") == "never"
        await use(system, await make_ready_customer(api), 95, 57)
        shown = await finance.open(RECONCILIATION, show="links", part="links")
        assert "All of it agrees: nothing is unexplained." in shown.text
        assert all(row.split()[-1] in {"0.0000", "0", "¥0.00"} for row in shown.words_of("#links tbody tr"))


def test_a_waterfall_ends_where_the_steps_lead() -> None:
    steps = {"volume": Money(50), "price": Money(-120)}
    placed = place_waterfall(Money(100), steps, Money(30))
    before, volume, price, after = placed.bars
    assert [bar.kind for bar in placed.bars] == ["total", "more", "less", "total"]
    assert before.y == pytest.approx(volume.y + volume.height, abs=0.02)
    assert volume.y == pytest.approx(price.y, abs=0.02)
    assert price.y + price.height == pytest.approx(after.y, abs=0.02)
    assert after.y + after.height == pytest.approx(placed.zero_y, abs=0.02)


def test_a_waterfall_of_nothing_is_drawn_all_the_same() -> None:
    placed = place_waterfall(Money.zero(), {}, Money.zero())
    assert [bar.told for bar in placed.bars] == [Money.zero(), Money.zero()]


def test_lines_of_a_burn_down_stay_within_the_picture() -> None:
    even = [Point(START, 7_200_000), Point(START.replace(month=12), 0)]
    chart = place_burn_down(BurnDownTrace([even[0], Point(START.replace(day=20), 5_000_000)], even, even, even, even))
    points = [tuple(map(float, each.split(","))) for each in f"{chart.actual} {chart.even} {chart.band}".split()]
    assert all(chart.left <= x <= chart.width and 0 <= y <= chart.height for x, y in points)
    assert chart.now_x == points[1][0]
