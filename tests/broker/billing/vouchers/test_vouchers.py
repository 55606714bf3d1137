"""Vouchers of a closed month: by the chart that finance maps, debits equal credits, what has no money is told."""

import csv
import io
import re
import zipfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from broker import ledger
from broker.billing.vouchers.chart import STANDARD, list_unmapped
from broker.billing.vouchers.files import SUMMARIES
from broker.ledger.reading.journal import CHART
from broker.system import System
from tests.broker.billing.closing.months import NOVEMBER, close_november, make_november
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api

VOUCHERS = f"/closings/{NOVEMBER}/vouchers"


def test_the_usual_chart_maps_every_account_of_money() -> None:
    assert (list_unmapped(STANDARD), len(STANDARD)) == ([], len(CHART))
    codes = {kind.value: account.code for kind, account in STANDARD.items()}
    assert (codes["cash"], codes["receivable"], codes["tax"], codes["revenue"]) == ("1002", "1122", "2221", "6001")


def test_every_transfer_of_money_has_a_summary_in_chinese() -> None:
    """Kinds of receipts and refunds had none, and stood in the vouchers by our own words; this guards against it."""
    sources = [path.read_text() for path in Path(ledger.__path__[0]).rglob("*.py")]
    posted = re.compile(r'(?:post_money\(work, terms|MoneyTransfer\(\w+|SidesTransfer\(\w+), "(\w+)"')
    kinds = {kind for source in sources for kind in posted.findall(source)}
    assert {"payment_received", "refund_sent", "receipt_kept", "grant_adjusted", "credited"} <= kinds
    assert kinds <= SUMMARIES.keys()
    assert all(re.search("[\u4e00-\u9fff]", told) for told in SUMMARIES.values())


@pytest.fixture
async def closed(api: Api, system: System, clock: ManualClock) -> Api:
    await make_november(api, system, clock, customers=2)
    assert await close_november(api, system) == "closed"
    return api


async def test_a_closed_months_revenue_is_in_its_own_vouchers_and_debits_equal_credits(closed: Api) -> None:
    vouchers = await closed.get(VOUCHERS)
    sums: defaultdict[int, Decimal] = defaultdict(Decimal)
    for line in vouchers["data"]:
        sums[line["number"]] += Decimal(line["debit"]["amount"]) - Decimal(line["credit"]["amount"])
    assert sorted(sums) == [1, 2]
    assert set(sums.values()) == {Decimal("0.00")}
    assert vouchers["debit"] == vouchers["credit"]
    told = [(line["day"], line["summary"], line["account_code"]) for line in vouchers["data"][:2]]
    assert told == [("2026-11-30", "usage_invoiced", "1122"), ("2026-11-30", "usage_invoiced", "6001")]
    assert sum(vouchers["left_out"].values()) > 0, "held and captured hours have no value in money"


async def test_finance_maps_accounts_and_exports_by_its_own_codes(closed: Api) -> None:
    standard = await closed.get("/chart-of-accounts")
    assert (standard["version"], standard["unmapped"], standard["author"]) == (0, [], None)
    accounts = [each | {"code": f"{each['code']}.88"} for each in standard["accounts"]]
    own = next(each for each in accounts if each["account"] == "receivable")
    own |= {"name": "=应收账款", "auxiliary": "contract"}
    written = await closed.call("PUT", "/chart-of-accounts", json={"accounts": accounts}, expect=200)
    assert written.json()["version"] == 1
    entry = (await closed.get("/audit"))["data"][0]
    assert entry["action"] == "replace_chart_of_accounts"
    content = (await closed.call("GET", VOUCHERS, params={"format": "csv"}, expect=200)).content
    assert content.startswith(b"\xef\xbb\xbf")
    first = next(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert (first["凭证字"], first["凭证号"], first["日期"]) == ("记", "1", "2026-11-30")
    assert (first["科目编码"], first["科目名称"], first["摘要"][:6]) == ("1122.88", "'=应收账款", "确认用量收入")
    assert first["客户名称"]
    assert first["合同"].startswith("con_")
    workbook = (await closed.call("GET", VOUCHERS, params={"format": "xlsx"}, expect=200)).content
    with zipfile.ZipFile(io.BytesIO(workbook)) as book:
        texts, sheet = (book.read(f"xl/{part}.xml").decode() for part in ("sharedStrings", "worksheets/sheet1"))
    assert all(told in texts for told in ("科目编码", "1122.88", "未导出"))
    assert f"<v>{Decimal(first['借方金额']).normalize()}</v>" in sheet
    again = await closed.call("GET", VOUCHERS, params={"format": "xlsx"}, expect=200)
    assert again.content == workbook


async def test_an_account_without_a_code_is_named_and_nothing_is_exported(closed: Api) -> None:
    only_cash = [{"account": "cash", "code": "1002", "name": "银行存款"}]
    chart = (await closed.call("PUT", "/chart-of-accounts", json={"accounts": only_cash}, expect=200)).json()
    assert "revenue" in chart["unmapped"]
    refused = (await closed.call("GET", VOUCHERS, expect=409)).json()
    assert refused["type"].endswith("/account-unmapped")
    assert [each["field"] for each in refused["errors"]] == ["receivable", "revenue"]


@pytest.mark.parametrize(
    ("account", "field"),
    [
        ({"account": "held", "code": "1", "name": "x"}, "accounts.1.account"),
        ({"account": "cash", "code": "1", "name": "x"}, "accounts.1.account"),
        ({"account": "revenue", "code": "6001 x", "name": "x"}, "accounts.1.code"),
        ({"account": "revenue", "code": "6001", "name": ""}, "accounts.1.name"),
        ({"account": "revenue", "code": "6001", "name": "收\x00入"}, "accounts.1.name"),
    ],
)
async def test_a_chart_that_does_not_fit_is_refused_by_its_field(api: Api, account: dict[str, str], field: str) -> None:
    accounts = [{"account": "cash", "code": "1002", "name": "银行存款"}, account]
    refused = (await api.call("PUT", "/chart-of-accounts", json={"accounts": accounts}, expect=422)).json()
    assert [each["field"] for each in refused["errors"]] == [field]
    assert (await api.get("/chart-of-accounts"))["version"] == 0


async def test_vouchers_of_an_open_month_are_refused(api: Api) -> None:
    assert (await api.call("GET", VOUCHERS, expect=409)).json()["type"].endswith("/period-still-open")
    await api.call("GET", "/chart-of-accounts", params={"version": 7}, expect=404)


async def test_a_chart_is_put_back_by_finance_and_not_undone_by_ops(api: Api) -> None:
    only_cash = [{"account": "cash", "code": "1002", "name": "银行存款"}]
    await api.call("PUT", "/chart-of-accounts", json={"accounts": only_cash}, expect=200)
    entry = (await api.get("/audit"))["data"][0]
    refused = await api.post(f"/audit/{entry['id']}/undo", expect=409)
    assert refused["type"].endswith("/not-undoable")
    assert (await api.get("/chart-of-accounts"))["version"] == 1
