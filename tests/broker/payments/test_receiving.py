"""Receipts over REST: each kept once, booked at once, matched by reference or by payer, or left for finance."""

import pytest

from broker.billing.receipts import list_payable
from broker.config import Settings
from broker.reports.reconciliation import reconcile_books
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.payments.receipts import import_lines, line, make_debtor, order, outcomes
from tests.broker.running_jobs import broken_rules
from tests.broker.scheduling.cycle.test_live import counted_statements


async def read_house(api: Api) -> dict[str, str]:
    """Read the house's own accounts of money that are not zero."""
    accounts = (await api.get("/ledger/accounts", limit=100))["data"]
    return {
        each["kind"]: each["amount"]["amount"]
        for each in accounts
        if each["contract_id"] is None and each["balance"] and each["unit"] == "micro_yuan"
    }


async def test_a_transfer_that_names_its_invoice_pays_it_and_credits_the_grant(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    spaced = " ".join(debtor.reference[place : place + 4] for place in range(0, len(debtor.reference), 4))
    imported = await import_lines(api, line("2,600.00", f"服务费 {spaced}11月", payer_name="苏州青茶"))
    (answer,) = imported["lines"]
    assert (answer["outcome"], answer["invoice_ids"]) == ("matched", [debtor.invoice_id])
    assert imported["received"]["amount"] == "2600.00"
    invoice = await api.get(f"/invoices/{debtor.invoice_id}")
    assert (invoice["status"], invoice["due"]["amount"]) == ("paid", "0.00")
    (grant,) = (await api.get("/grants", contract_id=debtor.contract_id))["data"]
    assert grant["status"] == "active"
    assert await read_house(api) == {"cash": "2600.00"}
    assert await broken_rules(system) == {}


async def test_a_line_that_comes_twice_is_kept_once_and_another_of_its_number_is_refused(
    api: Api, system: System
) -> None:
    debtor = await make_debtor(api)
    first = line("1000.00", debtor.reference)
    twice = await import_lines(api, first, first)
    assert outcomes(twice) == ["partial", "duplicate"]
    assert twice["lines"][0]["payment_id"] == twice["lines"][1]["payment_id"]
    again = await import_lines(api, first)
    assert (outcomes(again), again["received"]["amount"]) == (["duplicate"], "0.00")
    other = await import_lines(api, {**first, "amount": "1000.01"}, expect=422)
    assert other["errors"][0]["field"] == "lines.0.serial"
    assert await read_house(api) == {"cash": "1000.00"}
    assert await broken_rules(system) == {}


async def test_a_part_is_kept_and_the_invoice_is_partly_paid(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    assert outcomes(await import_lines(api, line("600.00", debtor.reference))) == ["partial"]
    invoice = await api.get(f"/invoices/{debtor.invoice_id}")
    assert (invoice["status"], invoice["due"]["amount"]) == ("partly_paid", "2000.00")
    partly = await api.get("/invoices", status="partly_paid")
    assert [each["id"] for each in partly["data"]] == [debtor.invoice_id]
    assert (await api.get("/invoices", status="open"))["data"] == []
    assert outcomes(await import_lines(api, line("2100.00", debtor.reference))) == ["over"]
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["status"] == "paid"
    account = await api.get("/ledger/accounts", contract_id=debtor.contract_id, limit=100)
    credit = next(each for each in account["data"] if each["kind"] == "customer_credit")
    assert credit["amount"]["amount"] == "-100.00"
    assert await broken_rules(system) == {}
    async with system.work() as work:
        assert [each.differences for each in await reconcile_books(work) if each.differences] == []


async def test_two_invoices_in_one_transfer_are_both_paid(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    await import_lines(api, line("2600.00", debtor.reference))
    first, second = await order(api, debtor), await order(api, debtor, "20")
    both = f"{first['payment_reference']}/{second['payment_reference']}"
    (answer,) = (await import_lines(api, line("156.00", both)))["lines"]  # 10 and 20 hours at 5.20
    assert (answer["outcome"], answer["invoice_ids"]) == ("matched", [first["id"], second["id"]])
    assert await broken_rules(system) == {}


async def test_an_unknown_payer_is_booked_and_waits_for_finance(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    imported = await import_lines(api, line("2600.00", "货款", payer_name="无名", payer_account="6222 0001"))
    assert outcomes(imported) == ["unmatched"]
    assert await read_house(api) == {"cash": "2600.00", "unmatched_receipts": "-2600.00"}
    (waiting,) = (await api.get("/payments/unmatched"))["data"]
    claimed = await api.post(f"/payments/{waiting['id']}/claim", {"allocations": [{"invoice_id": debtor.invoice_id}]})
    assert (claimed["status"], claimed["customer_id"]) == ("matched", debtor.customer_id)
    assert (await api.get("/payments/unmatched"))["data"] == []
    after = await order(api, debtor)
    known = await import_lines(api, line(after["due"]["amount"], "货款", payer_account="62220001"))
    assert (outcomes(known), known["lines"][0]["invoice_ids"]) == (["matched"], [after["id"]]), "by payer and amount"
    assert await broken_rules(system) == {}


async def test_what_fits_two_invoices_is_left_and_named_until_it_is_claimed(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    await import_lines(api, line("2600.00", debtor.reference, payer_name="Tea", payer_account="1"))
    one, two = await order(api, debtor), await order(api, debtor)
    (answer,) = (await import_lines(api, line("52.00", payer_name="Tea", payer_account="1")))["lines"]
    assert (answer["outcome"], set(answer["invoice_ids"])) == ("unmatched", {one["id"], two["id"]})
    assert one["number"] in answer["reason"]
    path = f"/payments/{answer['payment_id']}/claim"
    unclear = await api.post(path, expect=422)
    assert unclear["errors"][0]["field"] == "allocations"
    await api.post(path, {"allocations": [{"invoice_id": two["id"]}]})
    assert (await api.get(f"/invoices/{two['id']}"))["status"] == "paid"
    assert await broken_rules(system) == {}


async def test_a_foreign_currency_is_refused_with_the_field_and_sinks_no_other_line(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    dollars = line("2600.00", debtor.reference, currency="USD")
    refused = await import_lines(api, dollars, expect=422)
    assert refused["errors"][0]["field"] == "lines.0.currency"
    mixed = await import_lines(api, dollars, line("x", debtor.reference), line("2600.00", debtor.reference))
    assert outcomes(mixed) == ["rejected", "rejected", "matched"]
    assert [each["errors"][0]["field"] for each in mixed["lines"][:2]] == ["currency", "amount"]
    assert await read_house(api) == {"cash": "2600.00"}
    assert await broken_rules(system) == {}


async def test_a_bank_fee_is_tolerated_only_where_the_setting_says_so(
    api: Api, settings: Settings, system: System
) -> None:
    debtor = await make_debtor(api)
    assert outcomes(await import_lines(api, line("1600.00", debtor.reference))) == ["partial"]
    settings.bank_fee_tolerance = settings.bank_fee_tolerance + 10
    assert outcomes(await import_lines(api, line("989.99", debtor.reference))) == ["partial"]
    assert outcomes(await import_lines(api, line("0.02", debtor.reference))) == ["under"]
    assert (await api.get(f"/invoices/{debtor.invoice_id}"))["status"] == "paid"
    assert await broken_rules(system) == {}


async def test_money_for_an_order_that_is_over_is_the_customers_credit(
    api: Api, clock: ManualClock, system: System
) -> None:
    debtor = await make_debtor(api)
    await import_lines(api, line("2600.00", debtor.reference))
    late = await order(api, debtor)
    assert outcomes(await import_lines(api, line("6.00", late["payment_reference"]))) == ["partial"]
    clock.advance(days=31)
    assert outcomes(await import_lines(api, line("20.00", late["payment_reference"]))) == ["over"]
    assert (await api.get(f"/invoices/{late['id']}"))["status"] == "void"
    account = await api.get("/ledger/accounts", contract_id=debtor.contract_id, limit=100)
    credit = next(each for each in account["data"] if each["kind"] == "customer_credit")
    assert credit["amount"]["amount"] == "-26.00", "what came in time, too"
    assert await broken_rules(system) == {}


async def test_what_was_paid_twice_is_credit_the_second_time(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    await api.post(f"/invoices/{debtor.invoice_id}/pay")
    assert outcomes(await import_lines(api, line("2600.00", debtor.reference))) == ["over"]
    assert await broken_rules(system) == {}


async def test_money_that_went_out_is_not_kept(api: Api) -> None:
    debtor = await make_debtor(api)
    imported = await import_lines(api, line("-12.00"), line("2600.00", debtor.reference))
    assert outcomes(imported) == ["outgoing", "matched"]
    assert imported["received"]["amount"] == "2600.00"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"value_on": "2026-11-12"}, "value_on"),
        ({"value_on": "5.11."}, "value_on"),
        ({"serial": " "}, "serial"),
        ({"amount": "0"}, "amount"),
        ({"amount": "1.001"}, "amount"),
        ({"remark": "x" * 201}, "remark"),
    ],
)
async def test_what_is_wrong_with_a_line_is_told_by_its_field(api: Api, fields: dict[str, str], field: str) -> None:
    refused = await import_lines(api, {**line("1.00"), **fields}, expect=422)
    assert [each["field"] for each in refused["errors"]] == [f"lines.0.{field}"]
    assert (await api.get("/payments"))["data"] == []


@pytest.mark.parametrize("other", [{"value_on": "2026-11-04"}, {"payer_account": "2"}])
async def test_another_payment_of_as_much_under_one_serial_number_does_not_disappear(
    api: Api, other: dict[str, str]
) -> None:
    first = line("10.00", payer_account="1")
    imported = await import_lines(api, first, first, first | other)
    assert outcomes(imported) == ["unmatched", "duplicate", "rejected"]
    assert imported["lines"][2]["errors"][0]["field"] == "serial"
    untold = await import_lines(api, first | {"payer_account": ""})
    assert outcomes(untold) == ["duplicate"], "the same line by another way, which says less of it"


async def test_what_is_due_of_many_invoices_is_read_by_as_many_statements_as_of_one(api: Api, system: System) -> None:
    invoices = [(await make_debtor(api)).invoice_id for _ in range(3)]
    counts = []
    for asked in (invoices[:1], invoices):
        async with system.work() as work:
            with counted_statements(system) as statements:
                assert len(await list_payable(work, asked)) == len(asked)
            counts.append(len(statements))
    assert counts[0] == counts[1]
