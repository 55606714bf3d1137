"""Disputes of lines and chargebacks: a table of what each state may become, and what follows on the books."""

import itertools
from typing import Any

import pytest

from broker.billing.dispute_model import NEXT, DisputeStatus
from broker.billing.disputes import read_disputed
from broker.system import System
from tests.broker.billing.invoicing import bill_ten_hours
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api
from tests.broker.payments.receipts import import_lines, line, make_debtor
from tests.broker.payments.test_claiming import read_credit
from tests.broker.payments.test_receiving import read_house
from tests.broker.running_jobs import broken_rules

STEPS: dict[DisputeStatus, tuple[str, dict[str, str]]] = {
    DisputeStatus.ANSWERED: ("answer", {"answer": "It ran; look at the evidence"}),
    DisputeStatus.WON: ("win", {}),
    DisputeStatus.LOST: ("lose", {}),
    DisputeStatus.WITHDRAWN: ("withdraw", {}),
}


async def test_each_state_goes_only_where_the_table_says(api: Api, system: System, clock: ManualClock) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    for before, to in itertools.product(DisputeStatus, STEPS):
        body = {"invoice_id": invoice["id"], "position": 1, "amount": "0.10", "reason": "Test"}
        dispute = await api.post("/disputes", body, expect=201)
        if before in STEPS:
            verb, sent = STEPS[before]
            await api.post(f"/disputes/{dispute['id']}/{verb}", sent)
        verb, sent = STEPS[to]
        allowed = to in NEXT[before]
        after = await api.post(f"/disputes/{dispute['id']}/{verb}", sent, expect=200 if allowed else 409)
        if allowed:
            assert after["status"] == to
            moment = "answered_at" if to == DisputeStatus.ANSWERED else "ended_at"
            assert after[moment] is not None
    assert await broken_rules(system) == {}


LINES: dict[str, tuple[dict[str, str], tuple[str, dict[str, str]], str, str, str | None]] = {
    "opened": ({}, ("", {}), "68.00", "20.00", None),
    "answered": ({}, ("answer", {"answer": "No"}), "68.00", "20.00", None),
    "withdrawn": ({}, ("withdraw", {}), "68.00", "0.00", None),
    "won": ({}, ("win", {}), "68.00", "0.00", None),
    "lost": ({}, ("lose", {}), "48.00", "0.00", "credit_note"),
    "given up": ({}, ("lose", {"remedy": "bad_debt"}), "48.00", "0.00", "bad_debt"),
    "tax on top": ({"tax_mode": "on_top", "tax_rate": "0.06"}, ("", {}), "72.08", "21.20", None),
    "tax on top, lost": ({"tax_mode": "on_top", "tax_rate": "0.06"}, ("lose", {}), "50.88", "0.00", "credit_note"),
}


@pytest.mark.parametrize("case", LINES.values(), ids=LINES)
async def test_a_disputed_line_is_not_overdue_while_it_stands_and_the_books_follow(
    api: Api,
    system: System,
    clock: ManualClock,
    case: tuple[dict[str, str], tuple[str, dict[str, str]], str, str, str | None],
) -> None:
    terms, (verb, sent), due, disputed, remedy = case
    customer, invoice = await bill_ten_hours(api, system, clock, **terms)
    async with customer_api(api, customer.id) as own:
        body = {"invoice_id": invoice["id"], "position": 1, "amount": "20.00", "reason": "It lost our work"}
        dispute = await own.post("/disputes", body, expect=201)
    if verb:
        dispute = await api.post(f"/disputes/{dispute['id']}/{verb}", sent)
    assert (await api.get(f"/invoices/{invoice['id']}"))["due"]["amount"] == due
    async with system.work() as work:
        found = await read_disputed(work, [invoice["id"]])
    assert found.get(invoice["id"], None) is None if disputed == "0.00" else True
    assert disputed == (found[invoice["id"]].format_amount() if invoice["id"] in found else "0.00")
    assert (dispute["remedy"], dispute["remedy_id"] is None) == (remedy, remedy is None)
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"position": 9}, "position"), ({"amount": "68.01"}, "amount"), ({"position": 2}, "position")],
)
async def test_what_cannot_be_disputed_is_told_by_its_field(
    api: Api, system: System, clock: ManualClock, fields: dict[str, Any], field: str
) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock, tax_mode="on_top", tax_rate="0.06")
    body = {"invoice_id": invoice["id"], "position": 1, "reason": "Test", **fields}
    refused = await api.post("/disputes", body, expect=422)
    assert refused["errors"][0]["field"] == field


async def test_a_line_is_disputed_once(api: Api, system: System, clock: ManualClock) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    body = {"invoice_id": invoice["id"], "position": 1, "amount": "60.00", "reason": "Test"}
    await api.post("/disputes", body, expect=201)
    twice = await api.post("/disputes", body, expect=422)
    assert "8.00 CNY" in twice["errors"][0]["message"]


CHARGEBACKS: dict[str, tuple[str | None, str, dict[str, str], str, str, str]] = {
    "won": (None, "win", {}, "paid", "0.00", "68.00"),
    "withdrawn": (None, "withdraw", {}, "paid", "0.00", "68.00"),
    "lost": (None, "lose", {}, "open", "68.00", "0.00"),
    "a part is lost": ("20.00", "lose", {}, "partly_paid", "20.00", "48.00"),
    "given up": (None, "lose", {"remedy": "bad_debt"}, "written_off", "0.00", "0.00"),
}


@pytest.mark.parametrize("case", CHARGEBACKS.values(), ids=CHARGEBACKS)
async def test_a_lost_chargeback_takes_the_money_and_the_invoice_is_owed(
    api: Api,
    system: System,
    clock: ManualClock,
    case: tuple[str | None, str, dict[str, str], str, str, str],
) -> None:
    amount, verb, sent, status, due, cash = case
    _customer, invoice = await bill_ten_hours(api, system, clock)
    imported = await import_lines(api, line("68.00", invoice["payment_reference"]))
    payment = imported["lines"][0]["payment_id"]
    body = {"reason": "Not authorised", "case_number": "dp_1"} | ({} if amount is None else {"amount": amount})
    dispute = await api.post(f"/payments/{payment}/chargeback", body, expect=201)
    again = await api.post(f"/payments/{payment}/chargeback", body, expect=422)
    assert again["errors"][0]["field"] == "case_number"
    assert (await api.get(f"/invoices/{invoice['id']}"))["status"] == "paid", "until it is lost"
    await api.post(f"/disputes/{dispute['id']}/{verb}", sent)
    after = await api.get(f"/invoices/{invoice['id']}")
    assert (after["status"], after["due"]["amount"]) == (status, due)
    assert (await read_house(api)).get("cash", "0.00") == cash
    assert await broken_rules(system) == {}


async def test_a_payment_is_charged_back_once_though_it_came_in_parts_and_is_a_credit_in_part(
    api: Api, system: System
) -> None:
    """Once two parts of one invoice could be charged back by none of their words, and a credit not at all."""
    debtor = await make_debtor(api)
    payment = (await import_lines(api, line("2700.00")))["lines"][0]["payment_id"]
    invoice = {"invoice_id": debtor.invoice_id}
    await api.post(f"/payments/{payment}/claim", {"allocations": [invoice | {"amount": "2000.00"}, invoice]})
    path = f"/payments/{payment}/chargeback"
    part = await api.post(path, {"reason": "Test", "amount": "2500.00"}, expect=201)
    refused = await api.post(path, {"reason": "Test", "amount": "100.01"}, expect=422)
    assert "100.00" in refused["errors"][0]["message"], "2,600.00 came for it"
    rest = await api.post(path, {"reason": "Test"}, expect=201)
    await api.post(f"/payments/{payment}/unclaim", {"reason": "Test"}, expect=409)
    for dispute in (part, rest):
        await api.post(f"/disputes/{dispute['id']}/lose")
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["due"]["amount"] == "2600.00"
    assert await read_house(api) == {"cash": "100.00", "unmatched_receipts": "-100.00"}
    assert await broken_rules(system) == {}


async def test_what_is_beyond_what_was_due_is_charged_back_with_the_rest(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    payment = (await import_lines(api, line("2700.00", debtor.reference)))["lines"][0]["payment_id"]
    dispute = await api.post(f"/payments/{payment}/chargeback", {"reason": "Test"}, expect=201)
    assert dispute["amount"]["amount"] == "2700.00"
    await api.post(f"/disputes/{dispute['id']}/lose")
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["due"]["amount"] == "2600.00"
    assert (await read_house(api)).get("cash", "0.00") == "0.00"
    assert await broken_rules(system) == {}


async def test_a_part_is_charged_back_of_what_was_credited_after_it_was_paid(
    api: Api, system: System, clock: ManualClock
) -> None:
    """Once it broke: more was left of the payment than is due without the credit note."""
    _customer, invoice = await bill_ten_hours(api, system, clock)
    payment = (await import_lines(api, line("68.00", invoice["payment_reference"])))["lines"][0]["payment_id"]
    note = {"invoice_id": invoice["id"], "lines": [{"position": 1, "amount": "20.00"}], "reason": "Sorry"}
    await api.post("/credit-notes", note, expect=201)
    dispute = await api.post(f"/payments/{payment}/chargeback", {"reason": "Test", "amount": "10.00"}, expect=201)
    await api.post(f"/disputes/{dispute['id']}/lose")
    after = await api.get(f"/payments/{payment}")
    standing = [each for each in after["allocations"] if each["undone_at"] is None]
    kept = [(each["kind"], each["amount"]["amount"]) for each in standing]
    assert kept == [("invoice", "48.00"), ("credit", "10.00")]
    assert (await api.get(f"/invoices/{invoice['id']}"))["due"]["amount"] == "0.00"
    assert await broken_rules(system) == {}


async def test_a_remedy_of_the_other_kind_is_refused(api: Api) -> None:
    debtor = await make_debtor(api)
    payment = (await import_lines(api, line("2600.00", debtor.reference)))["lines"][0]["payment_id"]
    dispute = await api.post(f"/payments/{payment}/chargeback", {"reason": "Test"}, expect=201)
    refused = await api.post(f"/disputes/{dispute['id']}/lose", {"remedy": "credit_note"}, expect=422)
    assert refused["errors"][0]["field"] == "remedy"
    async with customer_api(api, debtor.customer_id) as own:
        await own.post(f"/disputes/{dispute['id']}/withdraw", expect=403)
        assert [each["id"] for each in (await own.get("/disputes"))["data"]] == [dispute["id"]]


async def test_a_credit_that_was_claimed_for_no_invoice_is_charged_back(api: Api, system: System) -> None:
    """Its payment had no invoice, so that a chargeback could not even be opened."""
    debtor = await make_debtor(api)
    payment = (await import_lines(api, line("300.00")))["lines"][0]["payment_id"]
    credit = {"contract_id": debtor.contract_id, "amount": "200.00"}
    await api.post(f"/payments/{payment}/claim", {"allocations": [credit]})
    path = f"/payments/{payment}/chargeback"
    refused = await api.post(path, {"reason": "Test", "contract_id": "con_other"}, expect=422)
    assert refused["errors"][0]["field"] == "contract_id"
    dispute = await api.post(path, {"reason": "Not authorised", "amount": "150.00"}, expect=201)
    assert (dispute["invoice_id"], dispute["contract_id"]) == (None, debtor.contract_id)
    over = await api.post(path, {"reason": "Test", "contract_id": debtor.contract_id, "amount": "50.01"}, expect=422)
    assert "50.00" in over["errors"][0]["message"]
    await api.post(f"/disputes/{dispute['id']}/lose", {"remedy": "bad_debt"}, expect=422)
    await api.post(f"/disputes/{dispute['id']}/lose")
    assert await read_credit(api, debtor) == "-50.00"
    assert await read_house(api) == {"cash": "150.00", "unmatched_receipts": "-100.00"}
    assert await broken_rules(system) == {}
