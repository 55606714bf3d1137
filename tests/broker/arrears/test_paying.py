"""What a payment pays: what is overdue first, told in the answer; only what was named, where that is wanted."""

from datetime import UTC, datetime, timedelta
from typing import Any

from broker.arrears.sweep import sweep_states
from broker.system import System
from tests.broker.arrears.debtors import FIRST_DAY, Debtor, bring_to, make_debtor, read_state
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_customer, sign_contract
from tests.broker.payments.receipts import import_lines, line
from tests.broker.running_jobs import broken_rules


async def bill_december(api: Api, system: System, clock: ManualClock, debtor: Debtor) -> Any:
    """Bill a second month of the contract on credit, while November's invoice is overdue."""
    clock.now = FIRST_DAY
    await use(system, debtor.on_credit, 60)
    clock.now = FIRST_DAY.replace(year=2027, month=1, day=1)
    invoice = await bill(api, debtor.on_credit, "2026-12")
    await sweep_states(system)
    return invoice


async def test_answer_says_that_an_overdue_invoice_was_paid_and_the_named_one_is_still_owed(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    overdue, small = debtor.invoices[0], await bill_december(api, system, clock, debtor)
    answer = await api.post(f"/invoices/{small['id']}/pay")
    assert (answer["id"], answer["status"]) == (small["id"], "open")
    assert answer["settled"] == [{"invoice_id": overdue["id"], "number": overdue["number"], "amount": small["total"]}]
    assert (answer["due"], answer["credit"]["amount"]) == (small["total"], "0.00")


async def test_named_invoice_alone_is_paid_where_that_is_wanted(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    overdue, small = debtor.invoices[0], await bill_december(api, system, clock, debtor)
    answer = await api.post(f"/invoices/{small['id']}/pay", {"overdue_first": False})
    assert (answer["status"], answer["due"]["amount"]) == ("paid", "0.00")
    assert answer["settled"] == [{"invoice_id": small["id"], "number": small["number"], "amount": small["total"]}]
    assert (await api.get(f"/invoices/{overdue['id']}"))["due"] == overdue["total"]
    again = await api.post(f"/invoices/{small['id']}/pay", {"overdue_first": False})
    assert (again["status"], again["settled"]) == ("paid", [])
    assert await broken_rules(system) == {}


async def test_of_a_closed_contract_nothing_but_debts_is_paid(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    await use(system, debtor.on_credit, 60)
    await bring_to(system, clock, "closed")
    clock.now = FIRST_DAY.replace(year=2027, month=1, day=1)
    small = await bill(api, debtor.on_credit, "2026-12")
    problem = await api.post(f"/invoices/{small['id']}/pay", {"overdue_first": False}, expect=422)
    assert "overdue_first" in str(problem)


async def test_credit_that_comes_pays_nothing_that_is_disputed(api: Api, system: System, clock: ManualClock) -> None:
    debtor = await make_debtor(api, system, clock)
    invoice = debtor.invoices[0]
    disputed = {"invoice_id": invoice["id"], "position": 1, "amount": "1.00", "reason": "Not ours"}
    await api.post("/disputes", disputed, expect=201)
    await bring_to(system, clock, "grace")
    contract_id = debtor.on_credit.contract["id"]
    assert await read_state(api, debtor.on_credit) == "grace"
    credit = {"kind": "credit", "contract_id": contract_id, "amount": "300.00", "reason": "Goodwill"}
    await api.post("/adjustments", credit, expect=201)
    await sweep_states(system)
    assert (await api.get(f"/invoices/{invoice['id']}"))["due"]["amount"] == "1.00"
    assert await read_state(api, debtor.on_credit) == "current"
    assert await broken_rules(system) == {}


async def test_advance_that_was_used_and_is_owed_again_is_overdue_after_its_term(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(
        api, customer["id"], plan="prepaid", committed_gpu_hours=500, payment_days=0, ends_at="2026-12-31T16:00:00Z"
    )
    invoice = await api.get(f"/invoices/{contract['advance_invoice_id']}")
    await import_lines(api, line(invoice["total"]["amount"], invoice["payment_reference"]))
    (payment,) = (await api.get("/payments"))["data"]
    await api.post(f"/payments/{payment['id']}/unclaim", {"reason": "Another customer's"})
    clock.now = datetime(2027, 2, 1, tzinfo=UTC)
    await sweep_states(system)
    place = f"/contracts/{contract['id']}/arrears"
    assert (await api.get(place))["owed"] == invoice["total"]


async def test_days_of_a_dispute_that_the_house_has_won_do_not_count(
    api: Api, system: System, clock: ManualClock
) -> None:
    debtor = await make_debtor(api, system, clock)
    lines = debtor.invoices[0]["lines"]
    asking = [each["position"] for each in lines if each["kind"] == "usage"]
    disputes = []
    for position in asking:
        body = {"invoice_id": debtor.invoices[0]["id"], "position": position, "reason": "Not ours"}
        disputes.append(await api.post("/disputes", body, expect=201))
    clock.now = FIRST_DAY + timedelta(days=60)
    await sweep_states(system)
    assert await read_state(api, debtor.on_credit) == "current"
    for each in disputes:
        await api.post(f"/disputes/{each['id']}/win")
    await sweep_states(system)
    shown = await api.get(f"/contracts/{debtor.on_credit.contract['id']}/arrears")
    assert (shown["state"], shown["since"], shown["until"]) == ("grace", "2027-01-31", "2027-02-02")
