"""Finance's home: what needs it, and what two people decide."""

import pytest

from broker.config import Settings
from broker.reports import finance_needs
from broker.system import System
from tests.broker.billing.invoicing import bill_ten_hours
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in_staff
from tests.broker.factories import Api
from tests.broker.http.test_paging import counted
from tests.broker.payments.receipts import import_lines, line

PAGE = "/console/finance/today"


async def test_an_empty_house_has_nothing_to_do(api: Api) -> None:
    async with sign_in_staff(api, "finance") as finance:
        home = await finance.http.get("/console/")
        assert home.headers["location"] == PAGE
        shown = await finance.open(PAGE)
        assert "Nothing waits for you." in shown.find("#needs")


async def test_what_needs_finance_is_told_with_what_it_comes_to(
    api: Api, system: System, clock: ManualClock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.approval_credit_note = 5
    _customer, invoice = await bill_ten_hours(api, system, clock)
    clock.advance(days=60)
    await import_lines(api, line("12.50"))
    await api.post("/disputes", {"invoice_id": invoice["id"], "position": 1, "amount": "1", "reason": "No"}, expect=201)
    body = {"invoice_id": invoice["id"], "reason": "Goodwill", "lines": [{"position": 1, "amount": "8"}]}
    await api.post("/approvals", {"act": "credit_note", "body": body}, expect=201)
    async with sign_in_staff(api, "finance") as finance:
        with counted(system) as statements:
            shown = await finance.open(PAGE)
        told = shown.words_of("#needs li")
        assert told[:2] == ["1 invoices are overdue · ¥68.00", "1 receipts are matched to nobody · ¥12.50"]
        assert {"1 proposals wait for another person", "1 disputes stand"} <= set(told)
        assert "3 months that are over are not closed : 2026-11, 2026-12, 2027-01" in told
        assert len(statements) < 25
        with monkeypatch.context() as fewer:
            fewer.setattr(finance_needs, "LISTED", 0)
            short = await finance.open(PAGE)
            assert short.words_of("#needs li") == told, "counts are of all, however few are listed"
            assert "0 of 1" in short.find("#approvals + table + p")
        refused = await finance.send(f"{PAGE}/reject", {"reason": ""}, of=shown, form="form[id^=reject]", expect=422)
        assert refused.words_of(".problem")
        await finance.send(f"{PAGE}/approve", {}, of=shown, form="form[id^=approve]")
        done = await finance.open(f"{PAGE}?done=approve")
        assert "1 proposals wait for another person" not in done.words_of("#needs li")
    assert (await api.get(f"/invoices/{invoice['id']}"))["credited"]["amount"] == "8.00"
