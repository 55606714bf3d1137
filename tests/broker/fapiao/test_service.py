"""Fapiao over their life: requested, issued under a number with a file, cancelled, taken back in parts."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from alembic import command

from broker.config import Settings
from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import Api, customer_api, make_customer, sign_prepaid
from tests.broker.rows import owner_connection
from tests.broker.running_jobs import broken_rules

NUMBER, OTHER, THIRD = "25330000000000000001", "25330000000000000002", "25330000000000000003"
TITLE = {"name": "苏州青茶文化有限公司", "tax_number": "91110000600037341L"}
ISSUED = {"issued_on": "2026-11-10"}


@pytest.fixture(autouse=True)
def set_terms(settings: Settings) -> None:
    settings.fapiao_item, settings.fapiao_tax_code = "*信息技术服务*算力服务费", "3040203000000000000"
    settings.fapiao_tax_rate = Decimal("0.06")


async def paid_customer(api: Api) -> tuple[str, Any]:
    """Make a customer that has paid 2,600.00 ahead."""
    customer = (await make_customer(api))["id"]
    return customer, await sign_prepaid(api, customer)


def ask(amount: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"kind": "normal", "title": TITLE, **({} if amount is None else {"amount": amount}), **fields}


async def test_a_customer_asks_and_finance_issues_with_number_and_file(api: Api) -> None:
    customer, _contract = await paid_customer(api)
    async with customer_api(api, customer) as own:
        there = await own.get("/fapiao/invoiceable")
        assert (there["invoiceable"]["amount"], there["debt"]["amount"]) == ("2600.00", "0.00")
        fapiao = await own.post("/fapiao", ask("1000.00", quantity="200"), expect=201)
        assert (fapiao["status"], fapiao["tax"]["amount"], fapiao["capitals"]) == ("requested", "56.60", "壹仟元整")
        assert fapiao["lines"][0]["unit_price"] == "4.7170000000000"
        assert (await own.get("/fapiao/invoiceable"))["invoiceable"]["amount"] == "1600.00"
        await own.get(f"/fapiao/{fapiao['id']}/file", expect=404)
        issued = await api.post(f"/fapiao/{fapiao['id']}/issue", {"number": NUMBER, **ISSUED})
        assert (issued["status"], issued["number"]) == ("issued", NUMBER)
        path, files = f"/fapiao/{fapiao['id']}/files", {"file": ("a.pdf", b"%PDF-1.7 fapiao")}
        await api.call("POST", path, expect=201, files=files, data={"format": "pdf"})
        twice = (await api.call("POST", path, expect=422, files=files, data={"format": "pdf"})).json()
        wrong = (await api.call("POST", path, expect=422, files=files, data={"format": "ofd"})).json()
        assert [problem["errors"][0]["field"] for problem in (twice, wrong)] == ["file", "file"]
        got = await own.http.get(f"/v1/fapiao/{fapiao['id']}/file")
        assert (got.content, got.headers["Content-Type"]) == (b"%PDF-1.7 fapiao", "application/pdf")


async def test_what_is_wrong_is_named_and_nothing_is_written(api: Api) -> None:
    customer, _contract = await paid_customer(api)
    named = {"customer_id": customer}
    over = await api.post("/fapiao", ask("2600.01", **named), expect=422)
    assert over["errors"] == [{"field": "amount", "message": "is more than can be invoiced: 2600.00 CNY"}]
    special = await api.post("/fapiao", ask(kind="special", **named), expect=422)
    assert {each["field"] for each in special["errors"]} >= {"title.address", "title.bank"}
    assert (await api.get("/fapiao", customer_id=customer))["data"] == []
    first = await api.post("/fapiao", ask("10.00", **named), expect=201)
    second = await api.post("/fapiao", ask("20.00", **named), expect=201)
    await api.post(f"/fapiao/{first['id']}/issue", {"number": NUMBER, **ISSUED})
    twice = await api.post(f"/fapiao/{second['id']}/issue", {"number": NUMBER, **ISSUED}, expect=422)
    assert twice["errors"][0] == {"field": "number", "message": "is that of another fapiao already"}
    short = await api.post(f"/fapiao/{second['id']}/issue", {"number": "123", **ISSUED}, expect=422)
    assert short["errors"][0]["field"] == "number"
    late = await api.post(f"/fapiao/{second['id']}/issue", {"number": OTHER, "issued_on": "2026-11-12"}, expect=422)
    assert late["errors"][0]["field"] == "issued_on"
    await api.post(f"/fapiao/{first['id']}/cancel", expect=409)
    await api.post(f"/fapiao/{second['id']}/cancel")
    assert (await api.post(f"/fapiao/{second['id']}/cancel"))["status"] == "cancelled"
    assert (await api.get("/fapiao/invoiceable", **named))["invoiceable"]["amount"] == "2590.00"


async def test_a_credit_after_a_fapiao_is_a_debt_until_its_red_one(api: Api, system: System) -> None:
    customer, contract = await paid_customer(api)
    fapiao = await api.post("/fapiao", ask(customer_id=customer), expect=201)
    await api.post(f"/fapiao/{fapiao['id']}/issue", {"number": NUMBER, **ISSUED})
    note = {"invoice_id": contract["advance_invoice_id"], "lines": [{"position": 1, "amount": "600.00"}], "reason": "x"}
    shown = await api.post("/credit-notes", note, expect=201)
    assert shown["fapiao_debt"]["amount"] == "600.00"
    invoice = await api.get(f"/invoices/{contract['advance_invoice_id']}")
    assert invoice["fapiao_debt"]["amount"] == "600.00"
    ((owing, debt),) = [(each["customer_id"], each["debt"]) for each in (await api.get("/fapiao/debts"))["data"]]
    assert (owing, debt["amount"]) == (customer, "600.00")
    there = await api.get("/fapiao/invoiceable", customer_id=customer)
    assert (there["invoiceable"]["amount"], there["debt"]["amount"]) == ("0.00", "600.00")
    refused = await api.post("/fapiao", ask("1.00", customer_id=customer), expect=422)
    assert "red ones first" in refused["errors"][0]["message"]
    path, red = f"/fapiao/{fapiao['id']}/red", {"number": OTHER, "reason": "04", **ISSUED}
    too_much = await api.post(path, {**red, "amount": "2600.01"}, expect=422)
    assert too_much["errors"][0]["field"] == "amount"
    early = await api.post(path, {**red, "issued_on": "2026-11-09"}, expect=422)
    assert early["errors"][0]["field"] == "issued_on"
    made = await api.post(path, {**red, "amount": "600.00"}, expect=201)
    assert (made["lines"][0]["net"], made["lines"][0]["tax"]) == ("-566.04", made["tax"]["amount"])
    assert (made["amount"]["amount"], made["red_of_id"], made["red_reason"]) == ("-600.00", fapiao["id"], "04")
    assert (await api.get("/fapiao/invoiceable", customer_id=customer))["debt"]["amount"] == "0.00"
    assert (await api.get(f"/credit-notes/{shown['id']}"))["fapiao_debt"] is None
    assert (await api.get(f"/invoices/{contract['advance_invoice_id']}"))["fapiao_debt"] is None
    assert (await api.get("/fapiao/debts"))["data"] == []
    rest = await api.post(path, {"number": THIRD, "reason": "03", **ISSUED}, expect=201)
    assert rest["amount"]["amount"] == "-2000.00"
    await api.post(f"/fapiao/{rest['id']}/red", {"number": "2" * 20, "reason": "01", **ISSUED}, expect=409)
    assert await broken_rules(system) == {}


async def read_books(api: Api, customer: str) -> dict[str, str]:
    """Read what the ledger has of a customer's fapiao, by kind of account without its `fapiao_`."""
    rows = (await api.get("/ledger/accounts", customer_id=customer, limit=100))["data"]
    own = [row for row in rows if row["kind"].startswith("fapiao_")]
    assert all(row["contract_id"] is None for row in own), "a fapiao is of no one contract"
    return {row["kind"].removeprefix("fapiao_"): row["amount"]["amount"] for row in own}


async def test_each_step_is_on_the_ledger_beside_the_money(api: Api, system: System) -> None:
    customer, _contract = await paid_customer(api)
    async with customer_api(api, customer) as own:
        first, second, third = [await own.post("/fapiao", ask(amount), expect=201) for amount in ("10", "20", "40")]
        assert await read_books(api, customer) == {"drawn": "-70.00", "requested": "70.00"}
        await own.post(f"/fapiao/{second['id']}/cancel")
    await api.post(f"/fapiao/{first['id']}/issue", {"number": NUMBER, **ISSUED})
    assert await read_books(api, customer) == {"drawn": "-50.00", "requested": "40.00", "issued": "10.00"}
    red = {"number": OTHER, "reason": "04", "amount": "4.00", **ISSUED}
    await api.post(f"/fapiao/{first['id']}/red", red, expect=201)
    assert await read_books(api, customer) == {"drawn": "-46.00", "requested": "40.00", "issued": "6.00"}
    account = next(row for row in (await api.get("/ledger/accounts", kind="fapiao_issued"))["data"])
    entries = (await api.get("/ledger/entries", account_id=account["id"]))["data"]
    assert [(each["kind"], each["amount"]["amount"]) for each in entries] == [
        ("fapiao_taken_back", "4.00"),
        ("fapiao_issued", "10.00"),
    ]
    assert await broken_rules(system) == {}
    assert (await api.get(f"/fapiao/{third['id']}"))["status"] == "requested"


async def test_fapiao_of_before_are_on_the_books_after_the_migration(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    customer, _contract = await paid_customer(api)
    issued, cancelled, _requested = [
        await api.post("/fapiao", ask(amount, customer_id=customer), expect=201) for amount in ("10", "20", "40")
    ]
    await api.post(f"/fapiao/{issued['id']}/issue", {"number": NUMBER, **ISSUED})
    await api.post(f"/fapiao/{cancelled['id']}/cancel")
    red = {"number": OTHER, "reason": "04", "amount": "4.00", **ISSUED}
    await api.post(f"/fapiao/{issued['id']}/red", red, expect=201)
    before = await read_books(api, customer)
    assert urls.owner is not None
    config = alembic_config(urls.owner)
    command.downgrade(config, "0110")
    command.upgrade(config, "head")
    assert await read_books(api, customer) == before
    assert await broken_rules(system) == {}


async def test_verify_finds_fapiao_of_more_than_was_asked_for_or_of_other_lines(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    customer, _contract = await paid_customer(api)
    fapiao = await api.post("/fapiao", ask("100.00", customer_id=customer), expect=201)
    await api.post(f"/fapiao/{fapiao['id']}/issue", {"number": NUMBER, **ISSUED})
    red = {"number": OTHER, "reason": "04", "amount": "60.00", **ISSUED}
    await api.post(f"/fapiao/{fapiao['id']}/red", red, expect=201)
    assert await broken_rules(system) == {}
    with owner_connection(urls) as owner:
        owner.execute("UPDATE fapiao SET amount_micros = amount_micros - 60000000 WHERE red_of_id IS NOT NULL")
    broken = await broken_rules(system)
    assert len(broken) == 4, "its lines say less, it takes back more than there was, and was booked otherwise"
    with owner_connection(urls) as owner:
        owner.execute("UPDATE fapiao SET amount_micros = 2800000000 WHERE red_of_id IS NULL")
    assert any(rule.startswith("a customer's fapiao") for rule in await broken_rules(system))


async def test_two_requests_at_once_never_ask_for_more_than_there_is(api: Api) -> None:
    customer, _contract = await paid_customer(api)
    body = ask("2000.00", customer_id=customer)
    answers = await asyncio.gather(*(api.call("POST", "/fapiao", json=body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 422]
