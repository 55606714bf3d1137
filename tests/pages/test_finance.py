"""What finance does in a browser: a month down to intervals, a bank line matched, a month closed, fapiao, a grant."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from functools import partial

import pytest
from playwright.async_api import Browser, expect

from broker.billing.closing.driving import run_closings
from broker.persistence.embedded import EmbeddedServer
from tests.broker.billing.invoicing import use
from tests.broker.factories import Customer, make_ready_customer
from tests.broker.payments.receipts import make_debtor
from tests.pages.browsing import Visit, visit
from tests.pages.house import House, open_house

OpenVisit = Callable[..., AbstractAsyncContextManager[Visit]]
MONTH = "2026-11"


@pytest.fixture(scope="module")
async def books(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Serve a broker of its own, whose clock may go on: in December, with a November that two customers used."""
    async with open_house(server, tmp_path_factory.mktemp("books"), furnished=False) as house:
        settings = house.api.app.state.services.settings
        settings.fapiao_item, settings.fapiao_tax_code, settings.fapiao_tax_rate = (
            "*服务*算力",
            "3" * 19,
            Decimal("0.06"),
        )
        yield house


@pytest.fixture(scope="module")
async def customers(books: House) -> list[Customer]:
    """Make two customers who have used something in a whole November; it is December then."""
    made = [await make_ready_customer(books.api, starts_at="2026-10-31T16:00:00Z") for _ in range(2)]
    for count, customer in enumerate(made, start=1):
        await use(books.system, customer, 7200 * count, 1000)
    books.clock.advance(days=24)
    return made


@pytest.fixture
def finance(browser: Browser, books: House, customers: list[Customer]) -> OpenVisit:
    """Return what opens a tab for finance, in a language and a theme."""
    assert customers
    return partial(visit, browser, books, "finance")


async def name_of(books: House, customer: Customer) -> str:
    return str((await books.api.get(f"/customers/{customer.id}"))["name"])


async def test_a_month_is_followed_down_to_the_intervals_of_a_job(
    finance: OpenVisit, books: House, customers: list[Customer]
) -> None:
    name = await name_of(books, customers[0])
    async with finance(theme="dark") as visit:
        await visit.open(f"/console/finance/month?month={MONTH}")
        await expect(visit.tab.locator("#change")).to_contain_text("Volume")
        await visit.check()
        await visit.shoot("flow-month")
        await visit.tab.locator("#costs").get_by_role("link", name=name).click()
        await visit.tab.wait_for_url("**customer_id=*")
        await visit.check()
        await visit.tab.locator("#costs tbody a").first.click()
        await expect(visit.tab.locator("#jobs tbody tr")).to_have_count(1)
        await visit.check()
        await visit.tab.locator("#jobs tbody a").first.click()
        await expect(visit.tab.locator("h1")).to_be_visible()
        await expect(visit.tab.locator("#usage tbody tr").first).to_contain_text("7,200")
        await visit.check()
        await visit.shoot("flow-intervals")


async def test_a_bank_line_is_imported_and_matched(finance: OpenVisit, books: House) -> None:
    debtor = await make_debtor(books.api)
    text = "日期,流水号,金额,对方名称,附言\n2026-12-02,BANK-1,2600.00,青茶,\n"
    async with finance(language="zh") as visit:
        await visit.open("/console/finance/payments")
        file = {"name": "statement.csv", "mimeType": "text/csv", "buffer": text.encode()}
        await visit.tab.locator("#f-file").set_input_files([file])
        await visit.tab.locator("#f-account").fill("1102")
        await visit.tab.locator("#import button").click()
        await expect(visit.tab.locator("#imported")).to_contain_text("BANK-1")
        await expect(visit.tab.locator("#imported")).to_contain_text("未写账单号")
        await visit.check()
        await visit.shoot("flow-imported-zh")
        await visit.tab.locator("#imported tbody a").click()
        await expect(visit.tab.locator("#claim")).to_contain_text(str(debtor.invoice["number"]))
        await visit.check()
        await visit.tab.locator(f"#claim-{debtor.invoice_id} button").click()
        await expect(visit.tab.locator("p.good")).to_be_visible()
        await visit.check()
    assert (await books.api.get(f"/invoices/{debtor.invoice_id}"))["status"] == "paid"


async def test_a_draft_is_made_final_and_the_month_is_closed(
    finance: OpenVisit, books: House, customers: list[Customer]
) -> None:
    contract = customers[0].contract["id"]
    draft = await books.api.post("/invoices", {"contract_id": contract, "month": MONTH}, expect=201)
    async with finance() as visit:
        await visit.open("/console/finance/invoices?state=draft")
        await visit.tab.locator(f"a[href$='{draft['id']}']").click()
        await visit.tab.locator("#acts summary", has_text="Finalize").click()
        await visit.tab.locator("#finalize button").click()
        await expect(visit.tab.locator("h1")).to_contain_text("INV-")
        await visit.check()
        await visit.open(f"/console/finance/closing?month={MONTH}")
        await expect(visit.tab.locator("#checklist li").first).to_be_visible()
        await visit.check()
        await visit.shoot("flow-checklist")
        for box in await visit.tab.locator("#checklist input[name=accept]").all():
            await box.check()
        await visit.tab.locator("#close button").click()
        await expect(visit.tab.locator("#closing")).to_contain_text("is being closed")
        await run_closings(books.system, ())
        await expect(visit.tab.locator("#closing")).to_contain_text("Vouchers")
        await visit.check()
        await visit.shoot("flow-closed")
    assert (await books.api.get(f"/closings/{MONTH}"))["status"] == "closed"


async def test_a_fapiao_is_issued_and_taken_back_by_a_red_one(finance: OpenVisit, books: House) -> None:
    debtor = await make_debtor(books.api)
    await books.api.post(f"/invoices/{debtor.invoice_id}/pay")
    asked = {"customer_id": debtor.customer_id, "kind": "normal", "title": {"name": "青茶"}, "amount": "100.00"}
    fapiao = await books.api.post("/fapiao", asked, expect=201)
    async with finance(language="zh", theme="dark") as visit:
        await visit.open("/console/finance/fapiao")
        await visit.tab.locator(f"a[href$='{fapiao['id']}']").click()
        await visit.tab.locator("#f-number").fill("2533" + "0" * 16)
        await visit.tab.locator("#issue button").click()
        await expect(visit.tab.locator("h1")).to_contain_text("2533")
        await visit.check()
        await visit.tab.locator("details", has=visit.tab.locator("#red")).locator("summary").click()
        await visit.tab.locator("#red-number").fill("2533" + "1" * 16)
        await visit.tab.locator("#f-amount").fill("400")
        await visit.tab.locator("#red button").click()
        await expect(visit.tab.locator("#f-amount-error")).to_be_visible()
        await visit.check()
        await visit.tab.locator("#f-amount").fill("40")
        await visit.tab.locator("#red button").click()
        await expect(visit.tab.locator("dl.figures").first).to_contain_text("¥60.00")
        await visit.check()
        await visit.shoot("flow-fapiao-zh-dark")


async def test_a_grant_is_given_and_taken_back(finance: OpenVisit, customers: list[Customer]) -> None:
    customer = customers[1]
    async with finance() as visit:
        await visit.open(f"/console/finance/customers/{customer.id}")
        await visit.check()
        await visit.tab.get_by_role("link", name="Give").click()
        await visit.tab.locator("#f-gpu_hours").fill("25")
        await visit.tab.locator("#f-reason").fill("Welcome")
        await visit.tab.locator("#give button").click()
        await expect(visit.tab.locator("h1")).to_contain_text("25.00 h, promotional")
        await visit.check()
        await visit.shoot("flow-grant")
        await visit.tab.locator("summary", has_text="Take back what is unused").click()
        await visit.tab.locator("#void input[name=reason]").fill("A mistake")
        await visit.tab.locator("#void button").click()
        await expect(visit.tab.locator("p.good")).to_be_visible()


async def test_what_to_sign_next_is_advised(finance: OpenVisit, books: House, customers: list[Customer]) -> None:
    name = await name_of(books, customers[1])
    async with finance(language="zh") as visit:
        await visit.open("/console/finance/plan-advice")
        await visit.tab.locator("input[name=customer]").fill(name)
        await visit.tab.keyboard.press("Enter")
        await expect(visit.tab.locator("#advice svg")).to_have_count(1)
        await visit.check()
        await visit.shoot("flow-advice-zh")


async def test_pages_are_walked_by_keys(finance: OpenVisit) -> None:
    async with finance() as visit:
        await visit.open("/console/finance/invoices")
        await visit.tab.keyboard.press("j")
        assert await visit.has_focus("#listed tbody a, #invoices tbody a")
        await visit.tab.keyboard.press("Enter")
        await visit.tab.wait_for_url("**/invoices/inv_*")
        for letter, path in (("b", "refunds"), ("f", "fapiao"), ("o", "commitments")):
            await expect(visit.tab.locator("h1")).to_be_focused()
            await visit.tab.keyboard.press("g")
            await visit.tab.keyboard.press(letter)
            await visit.tab.wait_for_url(f"**/finance/{path}")
