"""Invoices: found by what stands in the address, followed down to their intervals, and acted on through the API."""

from broker.config import Settings
from broker.system import System
from tests.broker.billing.invoicing import bill_ten_hours, use
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api, make_ready_customer
from tests.broker.http.test_paging import counted
from tests.broker.payments.receipts import import_lines, line, make_debtor
from tests.broker.running_jobs import HOUR

LIST = "/console/finance/invoices"
ROWS = "table.rows tbody tr"


async def test_no_invoice_none_that_match_and_some(api: Api, system: System, clock: ManualClock) -> None:
    async with sign_in_staff(api, "finance") as finance:
        assert (await finance.open(LIST)).state_of("invoices") == "never"
    _customer, invoice = await bill_ten_hours(api, system, clock)
    await make_ready_customer(api, plan="prepaid")
    name = (await api.get(f"/customers/{invoice['customer_id']}"))["name"]
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(LIST)
        assert shown.state_of("invoices") == "ready"
        assert len(shown.words_of(ROWS)) == 2
        assert "total ¥2,668.00 · due ¥68.00" in shown.text
        for found in ({"number": invoice["number"]}, {"customer": name}, {"state": "open"}, {"month": "2026-11"}):
            assert len((await finance.open(LIST, **found)).words_of(ROWS)) == 1
        nothing = await finance.open(LIST, state="draft", number="")
        assert nothing.state_of("invoices") == "none_match"
        part = await finance.open(LIST, part="invoices", state="paid")
        assert (part.words_of("h1"), len(part.words_of(ROWS))) == ([], 1)


async def test_statements_do_not_grow_with_the_invoices(api: Api, system: System) -> None:
    counts = []
    async with sign_in_staff(api, "finance") as finance:
        for more in (1, 3):
            for _ in range(more):
                await make_ready_customer(api, plan="prepaid")
            with counted(system) as statements:
                await finance.open(LIST)
            counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_an_invoice_leads_down_to_its_intervals_and_is_worked_out_anew(
    api: Api, system: System, clock: ManualClock
) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    at = f"{LIST}/{invoice['id']}"
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(at)
        assert "the segments add up to it" in shown.text
        lines = await finance.open(shown.attributes("#segments tbody a", "href")[0])
        assert len(lines.words_of("#lines tbody tr")) == 1
        line_page = await finance.open(lines.attributes("#lines tbody a", "href")[0])
        assert "1 charge adds up to the quantity." in line_page.text
        assert len(line_page.words_of("#proof details tbody tr")) == 1
        assert "Equal: ¥68.00" in (await finance.open(at, show="recomputed", part="recomputed")).text
        days = await finance.open(at, show="days")
        assert len(days.words_of("#days tbody tr")) == 30
        assert "together ¥68.00" in days.text
        pdf = await finance.open(shown.attributes(".files a", "href")[0])
        assert pdf.response.content.startswith(b"%PDF")


async def test_finance_finalizes_credits_and_is_paid_through_the_api(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api)
    await use(system, customer, 10 * HOUR)
    clock.advance(days=30)
    draft = await api.post("/invoices", {"contract_id": customer.contract["id"], "month": "2026-11"}, expect=201)
    at = f"{LIST}/{draft['id']}"
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(at)
        assert "Due — a draft may still change" in shown.words_of(".figure")
        await finance.send(f"{at}/finalize", {}, of=shown, form="#finalize")
        final = await finance.open(f"{at}?done=finalize")
        fields = {"lines.0.position": "1", "lines.0.amount": "900", "reason": "Goodwill"}
        refused = await finance.send(f"{at}/credit-note", fields, of=final, form="#credit-note", expect=422)
        assert "900" in refused.attributes("[name='lines.0.amount']", "value")
        assert refused.words_of("#credit-note .error")
        fields["lines.0.amount"] = "8"
        for _again in range(2):
            await finance.send(f"{at}/credit-note", fields, of=final, form="#credit-note")
        credited = await finance.open(at)
        assert [row.split()[-1] for row in credited.words_of("#chain tbody tr")] == ["¥68.00", "¥60.00"]
        await finance.send(f"{at}/pay", {"from_credit": "no"}, of=credited, form="#pay")
        assert "paid" in (await finance.open(at)).text
    assert (await api.get(f"/invoices/{draft['id']}"))["status"] == "paid"


async def test_what_needs_two_people_is_proposed_and_another_approves(
    api: Api, system: System, clock: ManualClock, settings: Settings
) -> None:
    settings.approval_credit_note = 5
    _customer, invoice = await bill_ten_hours(api, system, clock)
    at = f"{LIST}/{invoice['id']}"
    fields = {"lines.0.position": "1", "lines.0.amount": "8", "reason": "Goodwill"}
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(at)
        refused = await finance.send(f"{at}/credit-note", fields, of=shown, form="#credit-note", expect=409)
        fields["propose"] = "yes"
        await finance.send(f"{at}/credit-note", fields, of=refused, form="#credit-note")
        waiting = await finance.open(at)
        assert "You proposed it: another person approves it." in waiting.text
    async with sign_in_staff(api, "admin") as other:
        shown = await other.open(at)
        await other.send(f"{at}/approve", {}, of=shown, form="form[id^=approve]")
        assert "¥60.00" in (await other.open(at)).find("#chain tbody tr:last-child")


async def test_a_payment_and_a_dispute_stand_with_their_invoice(api: Api, system: System, clock: ManualClock) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    await import_lines(api, line("20.00", invoice["payment_reference"]))
    await api.post("/disputes", {"invoice_id": invoice["id"], "position": 1, "reason": "It failed"}, expect=201)
    at = f"{LIST}/{invoice['id']}"
    async with sign_in_staff(api, "finance", language="zh") as finance:
        shown = await finance.open(at)
        assert "It failed" in shown.text
        await finance.send(f"{at}/dispute-answer", {"answer": "It ran"}, of=shown, form="form[id^=dispute-answer]")
        assert "It ran" in (await finance.open(at)).text
        await finance.open(f"{LIST}/inv_x", expect=404)
        await finance.send(f"{at}/nothing", {}, of=shown, form="form[id^=dispute-answer]", expect=404)


async def test_an_invoice_of_many_months_is_read_in_as_many_statements_as_one_of_few(
    api: Api, system: System, clock: ManualClock
) -> None:
    counts = []
    for jobs in (1, 4):
        customer = await make_ready_customer(api)
        for _ in range(jobs):
            await use(system, customer, HOUR, 5)
    clock.advance(days=30)
    found = [each["id"] for each in (await api.get("/customers"))["data"]]
    contracts = [(await api.get("/contracts", customer_id=each))["data"][0] for each in found]
    invoices = []
    for contract in contracts:
        draft = await api.post("/invoices", {"contract_id": contract["id"], "month": "2026-11"}, expect=201)
        invoices.append(draft["id"])
    async with sign_in_staff(api, "finance") as finance:
        for invoice_id in invoices:
            with counted(system) as statements:
                await finance.open(f"{LIST}/{invoice_id}?segment=1")
            counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_what_was_paid_by_hand_stands_in_the_chain(api: Api) -> None:
    debtor = await make_debtor(api)
    await api.post(f"/invoices/{debtor.invoice_id}/pay")
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(f"/console/finance/invoices/{debtor.invoice_id}")
    last = shown.words_of("#chain tbody tr")[-1]
    assert "Recorded as paid, or paid by credit" in last
    assert last.endswith("-¥2,600.00 ¥0.00")


async def test_the_customer_of_an_overdue_invoice_is_reminded_once_a_day(api: Api, clock: ManualClock) -> None:
    debtor = await make_debtor(api)
    at = f"/console/finance/invoices/{debtor.invoice_id}"
    contact = {"name": "Finance", "address": "finance@example.com"}
    async with sign_in_staff(api, "finance") as finance:
        assert not (await finance.open(at)).tree.css("#remind"), "it is not overdue yet"
    clock.advance(days=60)
    async with sign_in_staff(api, "finance") as finance:
        shown = await finance.open(at)
        nobody = await finance.send(f"{at}/remind", {}, of=shown, form="#remind", expect=422)
        assert "has named nobody" in nobody.find("#remind .problem")
        await api.post(f"/customers/{debtor.customer_id}/contacts", contact, expect=201)
        await finance.send(f"{at}/remind", {}, of=await finance.open(at), form="#remind")
        told = await finance.open(at)
        assert "Reminded by hand:" in told.find("#chain")
        again = await finance.send(f"{at}/remind", {}, of=told, form="#remind", expect=409)
        assert "today already" in again.find("#remind .problem")
