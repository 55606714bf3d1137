"""Closing a month by its page: the list first, then progress, then vouchers; and the chart of accounts."""

from broker.billing.closing.driving import run_closings
from broker.system import System
from tests.broker.billing.closing.months import NOVEMBER, make_november
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api
from tests.broker.http.test_paging import counted
from tests.broker.payments.receipts import import_lines, line

PAGE = "/console/finance/closing"


async def test_what_is_in_the_way_is_named_accepted_and_the_month_closed(
    api: Api, system: System, clock: ManualClock
) -> None:
    await make_november(api, system, clock, customers=2)
    await import_lines(api, line("12.50"))
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(PAGE)
        assert "Closing 2026-11" in shown.find("h1")
        assert "State open" in shown.words_of(".figure")
        listed = await finance.open(PAGE, show="checklist", month=NOVEMBER)
        assert "1 Receipts that are matched to no customer" in listed.find("#checklist li.bad")
        assert "con_" not in listed.find("#checklist"), "contracts stand by the names of their customers"
        refused = await finance.send(PAGE, {"month": NOVEMBER}, of=listed, form="#close", expect=409)
        assert "12.50" in refused.find(".problem")
        await finance.send(PAGE, {"month": NOVEMBER, "accept": "unmatched_receipts"}, of=refused, form="#close")
        running = await finance.open(PAGE, month=NOVEMBER)
        assert "is being closed" in running.text
        assert running.attributes("#closing .body > div", "hx-trigger") == ["every 2s"]
        with counted(system) as statements:
            part = await finance.open(PAGE, month=NOVEMBER, part="closing")
        assert part.words_of("h1") == []
        assert len(statements) <= 8, "it is asked every two seconds"
        await run_closings(system, ())
        closed = await finance.open(PAGE, month=NOVEMBER)
        assert "State closed" in closed.words_of(".figure")[0]
        vouchers = await finance.open(closed.attributes(".files a", "href")[0])
        assert vouchers.response.headers["content-type"].startswith("text/csv")


async def test_a_month_under_way_says_why_it_cannot_be_closed(api: Api) -> None:
    async with sign_in_staff(api, "finance", language="zh") as finance:
        listed = await finance.open(PAGE, show="checklist", month=NOVEMBER)
        refused = await finance.send(PAGE, {"month": NOVEMBER}, of=listed, form="#close", expect=409)
        assert refused.words_of(".problem")


async def test_the_chart_of_accounts_is_replaced_as_a_new_version(api: Api) -> None:
    at = f"{PAGE}/accounts"
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(at)
        own = {
            name: shown.tree.css_first(f"input[name='{name}']").attributes["value"] or ""
            for name in shown.attributes("#accounts input:not([type=hidden])", "name")
        }
        bad = await finance.send(at, {**own, "cash.code": "? ?"}, of=shown, form="#accounts", expect=422)
        assert bad.attributes("input[name='cash.code']", "value") == ["? ?"]
        assert bad.attributes("input[aria-invalid]", "name") == ["cash.code"]
        assert bad.words_of("small.error") != []
        kinds = {name.removesuffix(".code") for name in own if name.endswith(".code")}
        choices = {f"{kind}.auxiliary": "none" for kind in kinds}
        await finance.send(at, {**own, **choices, "cash.code": "1002.01"}, of=shown, form="#accounts")
        assert "version 1" in (await finance.open(at)).text
    chart = await api.get("/chart-of-accounts")
    assert {each["account"]: each["code"] for each in chart["accounts"]}["cash"] == "1002.01"
