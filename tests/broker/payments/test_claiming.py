"""Claims by hand, taking them back, and sending money back to its payer."""

from decimal import Decimal

import pytest

from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, customer_api
from tests.broker.payments.receipts import Debtor, import_lines, line, make_debtor, order
from tests.broker.payments.test_receiving import read_house
from tests.broker.running_jobs import broken_rules


async def receive(api: Api, amount: str, remark: str = "", **fields: str) -> str:
    return str((await import_lines(api, line(amount, remark, **fields)))["lines"][0]["payment_id"])


async def read_credit(api: Api, debtor: Debtor) -> str:
    accounts = (await api.get("/ledger/accounts", contract_id=debtor.contract_id, limit=100))["data"]
    return next((each["amount"]["amount"] for each in accounts if each["kind"] == "customer_credit"), "0.00")


async def test_a_claim_for_several_invoices_and_a_credit_is_shared_out(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    payment = await receive(api, "3000.00")
    shares = [{"invoice_id": debtor.invoice_id, "amount": "2000.00"}, {"invoice_id": debtor.invoice_id}]
    claim = {"allocations": [*shares, {"contract_id": debtor.contract_id, "amount": "300.00"}]}
    claimed = await api.post(f"/payments/{payment}/claim", claim)
    assert [each["amount"]["amount"] for each in claimed["allocations"]] == ["2000.00", "600.00", "300.00"]
    assert (claimed["status"], claimed["unmatched"]["amount"]) == ("partly_matched", "100.00")
    assert await read_house(api) == {"cash": "3000.00", "unmatched_receipts": "-100.00"}
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("claim", "field"),
    [
        ({"amount": "100.01", "contract_id": "{contract_id}"}, "allocations.0.amount"),
        ({"amount": "0.00", "contract_id": "{contract_id}"}, "allocations.0.amount"),
        ({"contract_id": "{contract_id}", "invoice_id": "{invoice_id}"}, "allocations.0"),
        ({}, "allocations.0"),
    ],
)
async def test_a_wrong_claim_is_told_by_its_field_and_nothing_is_written(
    api: Api, claim: dict[str, str], field: str
) -> None:
    debtor = await make_debtor(api)
    payment = await receive(api, "100.00")
    ids = {"contract_id": debtor.contract_id, "invoice_id": debtor.invoice_id}
    body = {"allocations": [{name: value.format(**ids) for name, value in claim.items()}]}
    refused = await api.post(f"/payments/{payment}/claim", body, expect=422)
    assert refused["errors"][0]["field"] == field
    assert (await api.get(f"/payments/{payment}"))["status"] == "unmatched"


async def test_more_than_is_due_and_a_paid_invoice_name_the_cure(api: Api) -> None:
    debtor = await make_debtor(api)
    payment = await receive(api, "5000.00")
    path = f"/payments/{payment}/claim"
    over = {"allocations": [{"invoice_id": debtor.invoice_id, "amount": "2600.01"}]}
    assert debtor.contract_id in (await api.post(path, over, expect=422))["errors"][0]["message"]
    await api.post(f"/invoices/{debtor.invoice_id}/pay")
    paid = await api.post(path, {"allocations": [{"invoice_id": debtor.invoice_id}]}, expect=422)
    assert paid["errors"][0]["field"] == "allocations.0.invoice_id"
    await api.post(path, {"allocations": [{"invoice_id": "inv_none"}]}, expect=404)
    await api.post("/payments/pay_none/claim", expect=404)


async def test_an_undone_claim_leaves_invoice_and_money_as_before(api: Api, system: System) -> None:
    wrong, right = await make_debtor(api), await make_debtor(api)
    payment = await receive(api, "1000.00", wrong.reference)
    undone = await api.post(f"/payments/{payment}/unclaim", {"reason": "Wrong customer"})
    (allocation,) = undone["allocations"]
    assert (undone["status"], undone["customer_id"]) == ("unmatched", None)
    assert (allocation["undone_reason"], allocation["undone_by"] is None) == ("Wrong customer", False)
    assert (await api.get(f"/invoices/{wrong.invoice_id}"))["status"] == "open"
    assert await read_house(api) == {"cash": "1000.00", "unmatched_receipts": "-1000.00"}
    await api.post(f"/payments/{payment}/claim", {"allocations": [{"invoice_id": right.invoice_id}]})
    assert (await api.get(f"/invoices/{right.invoice_id}"))["due"]["amount"] == "1600.00"
    await api.post(f"/payments/{payment}/claim", expect=409)
    assert await broken_rules(system) == {}
    (noted,) = (await api.get("/audit", action="unclaim_payment"))["data"]
    assert (noted["object_id"], noted["sent"]["reason"]) == (payment, "Wrong customer")


async def test_an_advance_that_was_paid_is_owed_again_and_keeps_its_hours(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    payment = await receive(api, "2600.00", debtor.reference)
    await api.post(f"/payments/{payment}/unclaim", {"reason": "It was another's"})
    invoice = await api.get(f"/invoices/{debtor.invoice_id}")
    assert (invoice["status"], invoice["due"]["amount"]) == ("open", "2600.00")
    (grant,) = (await api.get("/grants", contract_id=debtor.contract_id))["data"]
    assert grant["status"] == "active"
    await receive(api, "2600.00", debtor.reference)
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["status"] == "paid"
    assert await broken_rules(system) == {}


async def test_a_paid_order_that_is_owed_again_is_neither_cancelled_nor_over(
    api: Api, clock: ManualClock, system: System
) -> None:
    debtor = await make_debtor(api)
    await receive(api, "2600.00", debtor.reference)
    ordered = await order(api, debtor)
    payment = await receive(api, "52.00", ordered["payment_reference"])
    await api.post(f"/payments/{payment}/unclaim", {"reason": "Test"})
    purchase = (await api.get("/purchases", contract_id=debtor.contract_id))["data"][0]
    await api.post(f"/purchases/{purchase['id']}/cancel", expect=409)
    clock.advance(days=31)
    await api.post(f"/payments/{payment}/claim", {"allocations": [{"invoice_id": ordered["id"]}]})
    assert (await api.get(f"/invoices/{ordered['id']}"))["status"] == "paid"
    assert await broken_rules(system) == {}


async def test_what_a_credit_note_gave_back_comes_off_the_credit_when_its_payment_is_undone(
    api: Api, system: System
) -> None:
    debtor = await make_debtor(api)
    payment = await receive(api, "2600.00", debtor.reference)
    note = {"invoice_id": debtor.invoice_id, "lines": [{"position": 1, "amount": "100.00"}], "reason": "Test"}
    await api.post("/credit-notes", note, expect=201)
    assert await read_credit(api, debtor) == "-100.00"
    await api.post(f"/payments/{payment}/unclaim", {"reason": "Test"})
    assert await read_credit(api, debtor) == "0.00"
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["due"]["amount"] == "2500.00"
    assert await broken_rules(system) == {}


async def test_a_credit_that_is_used_cannot_be_taken_back(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    payment = await receive(api, "2652.00", debtor.reference)
    ordered = await order(api, debtor)
    await api.post(f"/invoices/{ordered['id']}/pay", {"from_credit": True})
    refused = await api.post(f"/payments/{payment}/unclaim", {"reason": "Test"}, expect=422)
    assert refused["errors"][0]["field"] == "payment_id"
    assert (await api.get(f"/payments/{payment}"))["status"] == "matched", "none of both was taken back"
    assert await broken_rules(system) == {}


async def test_money_of_nobody_goes_back_to_its_payer(api: Api, system: System) -> None:
    payment = await receive(api, "100.00", payer_name="无名", payer_account="62220001", payer_bank="工行")
    refund = await api.post(f"/payments/{payment}/return", {"reason": "Not ours"}, expect=201)
    assert (refund["status"], refund["payee_account"], refund["amount"]["amount"]) == (
        "requested",
        "62220001",
        "100.00",
    )
    assert (await api.get(f"/payments/{payment}"))["status"] == "returned"
    assert await read_house(api) == {"cash": "100.00", "refunds": "-100.00"}
    await api.post(f"/payments/{payment}/claim", expect=409)
    failed = await api.post(f"/refunds/{refund['id']}/fail", {"reason": "Account closed"})
    assert (failed["status"], failed["failure"]) == ("failed", "Account closed")
    assert (await api.get(f"/payments/{payment}"))["status"] == "unmatched"
    again = await api.post(f"/payments/{payment}/return", {"reason": "Not ours", "amount": "40.00"}, expect=201)
    await api.post(f"/refunds/{again['id']}/send", {"bank_reference": "B1"})
    assert await read_house(api) == {"cash": "60.00", "unmatched_receipts": "-60.00"}
    assert await broken_rules(system) == {}


async def test_without_an_account_nothing_can_be_sent_back(api: Api) -> None:
    payment = await receive(api, "100.00", payer_name="无名")
    refused = await api.post(f"/payments/{payment}/return", {"reason": "Not ours"}, expect=422)
    assert refused["errors"][0]["field"] == "payee.account"


async def test_a_customer_reads_its_own_payments_and_nothing_that_is_about_others(api: Api) -> None:
    debtor = await make_debtor(api)
    payment = await receive(api, "100.00", debtor.reference)
    strangers = await receive(api, "77.00", payer_name="无名")
    (for_finance,) = (await api.get("/payments", customer_id=debtor.customer_id))["data"]
    assert for_finance["reason"]
    async with customer_api(api, debtor.customer_id) as own:
        (shown,) = (await own.get("/payments"))["data"]
        assert shown == for_finance | {"reason": "", "candidates": []}
        detail = await own.get(f"/payments/{payment}")
        assert [each["invoice_id"] for each in detail["allocations"]]
        assert (detail["reason"], detail["candidates"]) == ("", [])
        await own.get(f"/payments/{strangers}", expect=404)
        await own.get("/payments/unmatched", expect=403)


async def test_what_needs_two_people_goes_back_to_nobody_but_its_payer(api: Api, system: System) -> None:
    """Once one person could unclaim a payment and return it to any account, whatever a refund needs."""
    system.services.settings.approval_refund = Decimal(100)
    payment = await receive(api, "300.00", payer_name="Tea", payer_account="62220001")
    other = {"reason": "Not ours", "payee": {"name": "Tea", "account": "62220002"}}
    refused = await api.post(f"/payments/{payment}/return", other, expect=422)
    assert refused["errors"][0]["field"] == "payee.account"
    part = await api.post(f"/payments/{payment}/return", other | {"amount": "60.00"}, expect=201)
    again = await api.post(f"/payments/{payment}/return", other | {"amount": "60.00"}, expect=422)
    assert "120.00 CNY of the payment in all" in again["errors"][0]["message"], "in parts it is one amount"
    await api.post(f"/payments/{payment}/return", other | {"amount": "40.00"}, expect=201)
    await api.post(f"/refunds/{part['id']}/fail", {"reason": "Account closed"})
    await api.post(f"/payments/{payment}/return", other | {"amount": "60.00"}, expect=201)
    await api.post(f"/payments/{payment}/return", {"reason": "Not ours"}, expect=201)
