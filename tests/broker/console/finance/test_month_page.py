"""The month of finance: its figures, why it changed, and down from a customer to the intervals of a job."""

import pytest

from broker.console.finance import month_page
from broker.system import System
from tests.broker.billing.documents.test_written import needs_font, read_pages
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_customer, sign_in_staff
from tests.broker.factories import Api
from tests.broker.http.test_paging import counted
from tests.broker.reports.finance_world import FinanceWorld, close, make_world, use

MONTH = "/console/finance/month"


@pytest.fixture
async def world(api: Api, system: System) -> FinanceWorld:
    return await make_world(api, system)


async def test_a_month_shows_net_and_a_dash_where_there_was_none_before(
    api: Api, system: System, world: FinanceWorld
) -> None:
    report = await api.get("/reports/monthly-cost", month="2026-11")
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(MONTH, month="2026-11")
    figures = shown.words_of(".figure")
    net = f"¥{float(report['due']['amount']):,.2f}"
    assert figures[0].startswith(f"Net {net}")
    assert figures[1] == "Change — nothing in 2026-10 to compare with"
    assert figures[3].startswith("Unexplained — the books were not reconciled yet")
    assert [shown.state_of(panel) for panel in ("change", "projects", "costs")] == ["ready"] * 3
    assert len(shown.words_of("#costs table.rows tbody tr")) == len(world.all)


async def test_an_empty_house_says_what_will_be_here(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(MONTH)
        assert [shown.state_of(panel) for panel in ("change", "projects", "costs")] == ["never"] * 3
        assert "¥" not in "".join(shown.words_of("#costs"))
        assert (await finance.open(MONTH, show="pools")).state_of("pools") == "never"


async def test_finance_goes_down_from_a_customer_to_the_intervals_of_a_job(
    api: Api, system: System, world: FinanceWorld
) -> None:
    async with sign_in_staff(api, "finance", language="zh") as finance:
        by_project = await finance.open(MONTH, month="2026-11", customer_id=world.prepaid.id)
        (href, *_rest) = by_project.attributes("#costs table.rows tbody a", "href")
        listed = await finance.open(href)
        assert len(listed.words_of("#jobs table.rows tbody tr")) in {1, 2}
        intervals = await finance.open(listed.attributes("#jobs table.rows tbody a", "href")[0])
        assert intervals.state_of("usage") == "ready"
        assert len(intervals.words_of("#usage table.rows tbody tr")) == 1


async def test_rows_are_told_apart_by_whatever_is_chosen_and_come_as_files(
    api: Api, system: System, world: FinanceWorld
) -> None:
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(f"{MONTH}?month=2026-11&by=plan,gpu_type")
        assert shown.words_of("#costs table.rows th")[:2] == ["Plan", "GPU type"]
        _pdf, csv, xlsx = shown.attributes("#costs .files a", "href")
        file = (await finance.open(csv)).response
        assert file.headers["content-type"].startswith("text/csv")
        assert "monthly-cost" in file.headers["content-disposition"]
        assert (await finance.open(xlsx)).response.content.startswith(b"PK")
        await finance.open("/console/finance/files/api-keys", expect=404)
        await finance.open(MONTH, month="2026-13", expect=422)
        await finance.open(MONTH, customer_id="cus_x", expect=404)


async def test_pools_are_read_by_themselves(api: Api, system: System, world: FinanceWorld) -> None:
    async with sign_in_staff(api, "finance") as finance:
        part = await finance.open(MONTH, part="pools", month="2026-11", show="pools")
        assert part.state_of("pools") == "ready"
        assert part.words_of("h1") == []


async def test_the_month_is_for_finance_alone(api: Api, world: FinanceWorld) -> None:
    async with sign_in_staff(api, "ops") as person:
        await person.open(MONTH, expect=403)
    async with sign_in_customer(api, world.tiered.id) as customer:
        await customer.open(MONTH, expect=403)
        await customer.open("/console/finance/files/reports/monthly-cost", expect=403)


async def test_a_final_month_says_so_and_statements_do_not_grow_with_rows(
    api: Api, system: System, clock: ManualClock, world: FinanceWorld
) -> None:
    counts = []
    async with sign_in_staff(api, "finance") as finance:
        await finance.open(MONTH, month="2026-11")  # what was used on days that are over is read once
        for _ in range(2):
            with counted(system) as statements:
                await finance.open(MONTH, month="2026-11")
            counts.append(len(statements))
            for _ in range(5):
                await use(system, world.tiered, 95, 57)
        assert counts[0] == counts[1]
    await close(api, clock, world)
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(MONTH, month="2026-11")
    assert "final: as invoices say" in shown.text


async def test_a_long_month_is_read_once_its_page_is_there(
    api: Api, world: FinanceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(month_page, "LONG", 2)
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(MONTH, month="2026-11")
        assert (shown.attributes("#month", "hx-trigger"), shown.words_of(".figure")) == (["load"], [])
        part = await finance.open(MONTH, month="2026-11", show="month", part="month")
        assert part.words_of("h1") == []
        assert len(part.words_of("#month .figure")) == 4
        assert (await finance.open(shown.attributes("#month a", "href")[0])).state_of("costs") == "ready"


@needs_font
@pytest.mark.parametrize(("language", "told"), [("en", "Why it changed"), ("zh", "变化原因")])
async def test_a_month_is_handed_as_a_pdf_in_the_pages_language(
    api: Api, world: FinanceWorld, language: str, told: str
) -> None:
    async with sign_in_staff(api, "finance", language=language) as finance:
        page = await finance.open(MONTH, month="2026-11")
        (address,) = [each for each in page.attributes(".files a", "href") if "month.pdf" in each]
        answered = await finance.http.get(address)
    assert answered.headers["content-type"] == "application/pdf"
    text = " ".join(read_pages(answered.content))
    assert told in text
    assert page.words_of(".figure dd")[0].split()[0] in text, "the net is that of the page"
