"""Payments at once: two imports of one statement, claims beside imports, money beside the end of its order."""

import asyncio
from typing import Any

from broker.system import System
from tests.broker.factories import Api
from tests.broker.payments.receipts import import_lines, line, make_debtor, order, outcomes
from tests.broker.payments.test_receiving import read_house
from tests.broker.running_jobs import broken_rules


async def test_two_imports_of_one_statement_keep_each_line_once(api: Api, system: System) -> None:
    debtors = [await make_debtor(api) for _ in range(3)]
    lines = [line("2600.00", debtor.reference) for debtor in debtors]
    imports = [import_lines(api, *lines), import_lines(api, *lines[::-1]), import_lines(api, *lines[1:])]
    told = [outcome for answer in await asyncio.gather(*imports) for outcome in outcomes(answer)]
    assert sorted(told) == ["duplicate"] * 5 + ["matched"] * 3
    assert await read_house(api) == {"cash": "7800.00"}
    assert await broken_rules(system) == {}


async def test_a_claim_beside_an_import_pays_an_invoice_once_and_loses_no_money(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    waiting = (await import_lines(api, line("2600.00")))["lines"][0]["payment_id"]
    claim = {"allocations": [{"invoice_id": debtor.invoice_id}]}
    racing: list[Any] = [
        api.call("POST", f"/payments/{waiting}/claim", json=claim),
        api.call("POST", f"/payments/{waiting}/claim", json=claim),
        api.call("POST", "/payments", json={"lines": [line("2600.00", debtor.reference)]}),
        api.call("POST", f"/invoices/{debtor.invoice_id}/pay"),
    ]
    answers = await asyncio.gather(*racing)
    assert all(answer.status_code in {200, 201, 409, 422} for answer in answers), [each.text for each in answers]
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["due"]["amount"] == "0.00"
    assert (await read_house(api))["cash"] == "5200.00"
    assert await broken_rules(system) == {}


async def test_a_payment_beside_the_end_of_its_order_pays_it_or_is_credit(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    await import_lines(api, line("2600.00", debtor.reference))
    for _ in range(3):
        ordered = await order(api, debtor)
        purchase = (await api.get("/purchases", contract_id=debtor.contract_id))["data"][0]
        paid, cancelled = await asyncio.gather(
            import_lines(api, line("52.00", ordered["payment_reference"])),
            api.call("POST", f"/purchases/{purchase['id']}/cancel"),
        )
        status = (await api.get(f"/invoices/{ordered['id']}"))["status"]
        told = (outcomes(paid), cancelled.status_code, status)
        assert told in [(["matched"], 409, "paid"), (["over"], 200, "void")]
    assert await broken_rules(system) == {}


async def test_a_claim_undone_twice_at_once_is_undone_once(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    payment = (await import_lines(api, line("100.00", debtor.reference)))["lines"][0]["payment_id"]
    undo = (api.call("POST", f"/payments/{payment}/unclaim", json={"reason": "Test"}) for _ in range(3))
    assert sorted(answer.status_code for answer in await asyncio.gather(*undo)) == [200, 409, 409]
    assert await read_house(api) == {"cash": "100.00", "unmatched_receipts": "-100.00"}
    assert await broken_rules(system) == {}


async def test_a_key_that_is_sent_again_imports_nothing_again(api: Api) -> None:
    debtor = await make_debtor(api)
    body = {"lines": [line("100.00", debtor.reference)]}
    first = await api.post("/payments", body, expect=201, key="november")
    assert await api.post("/payments", body, expect=201, key="november") == first
