"""Refunds from credit and from refunded units: which states follow which, and what the accounts say after each."""

import itertools

import pytest

from broker.payments.model import NEXT_STATUSES, RefundStatus
from broker.system import System
from tests.broker.factories import Api
from tests.broker.payments.receipts import Debtor, import_lines, line, make_debtor
from tests.broker.payments.test_claiming import read_credit
from tests.broker.payments.test_receiving import read_house
from tests.broker.running_jobs import broken_rules

WAY = {"method": "bank_transfer", "payee": {"name": "Tea", "account": "1"}, "reason": "Asked for"}
STEPS = {
    RefundStatus.SENT: ("send", {"bank_reference": "B1"}),
    RefundStatus.CONFIRMED: ("confirm", {}),
    RefundStatus.FAILED: ("fail", {"reason": "Account closed"}),
}
# What is the house's cash, and the credit, after the steps to each state; 100.00 came beyond what was due.
AFTER: dict[tuple[RefundStatus, ...], tuple[str, str]] = {
    (): ("2700.00", "0.00"),
    (RefundStatus.SENT,): ("2600.00", "0.00"),
    (RefundStatus.SENT, RefundStatus.CONFIRMED): ("2600.00", "0.00"),
    (RefundStatus.SENT, RefundStatus.FAILED): ("2700.00", "-100.00"),
    (RefundStatus.SENT, RefundStatus.CONFIRMED, RefundStatus.FAILED): ("2700.00", "-100.00"),
    (RefundStatus.FAILED,): ("2700.00", "-100.00"),
}


async def with_credit(api: Api) -> Debtor:
    debtor = await make_debtor(api)
    await import_lines(api, line("2700.00", debtor.reference))
    return debtor


@pytest.mark.parametrize("steps", AFTER, ids=lambda steps: " ".join(steps) or "requested")
async def test_the_books_follow_each_state(api: Api, system: System, steps: tuple[RefundStatus, ...]) -> None:
    debtor = await with_credit(api)
    asked = {"contract_id": debtor.contract_id, "taken_from": "credit", **WAY}
    refund = await api.post("/refunds", asked, expect=201)
    for step in steps:
        verb, body = STEPS[step]
        refund = await api.post(f"/refunds/{refund['id']}/{verb}", body)
    assert refund["status"] == (steps[-1] if steps else "requested")
    cash, credit = AFTER[steps]
    assert ((await read_house(api))["cash"], await read_credit(api, debtor)) == (cash, credit)
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(("before", "to"), list(itertools.product(RefundStatus, STEPS)))
async def test_only_the_next_states_follow(api: Api, before: RefundStatus, to: RefundStatus) -> None:
    path = {RefundStatus.CONFIRMED: (RefundStatus.SENT, RefundStatus.CONFIRMED)}.get(before, (before,))
    debtor = await with_credit(api)
    refund = await api.post("/refunds", {"contract_id": debtor.contract_id, "taken_from": "credit", **WAY}, expect=201)
    for step in path:
        if step in STEPS:
            verb, body = STEPS[step]
            await api.post(f"/refunds/{refund['id']}/{verb}", body)
    verb, body = STEPS[to]
    await api.post(f"/refunds/{refund['id']}/{verb}", body, expect=200 if to in NEXT_STATUSES[before] else 409)


async def test_what_is_owed_for_units_is_paid_back_once_by_ways_that_are_named(api: Api, system: System) -> None:
    debtor = await make_debtor(api)
    await import_lines(api, line("2600.00", debtor.reference))
    (grant,) = (await api.get("/grants", contract_id=debtor.contract_id))["data"]
    await api.post(f"/grants/{grant['id']}/refund")
    of_units = {"contract_id": debtor.contract_id, "taken_from": "grant"}
    first = await api.post("/refunds", {**of_units, **WAY, "amount": "1000.00"}, expect=201)
    over = await api.post("/refunds", {**of_units, **WAY, "amount": "1600.01"}, expect=422)
    assert over["errors"][0] == {
        "field": "amount",
        "message": "is more than there is to be paid back: 1600.00 CNY",
    }
    credited = await api.post("/refunds", {**of_units, "method": "customer_credit", "reason": "Kept"}, expect=201)
    assert (credited["status"], credited["amount"]["amount"]) == ("confirmed", "1600.00")
    assert await read_credit(api, debtor) == "-1600.00"
    await api.post("/refunds", {**of_units, **WAY}, expect=422)
    await api.post(f"/refunds/{first['id']}/fail", {"reason": "Account closed"})
    again = await api.post("/refunds", {**of_units, **WAY}, expect=201)
    assert again["amount"]["amount"] == "1000.00"
    sent = await api.post(f"/refunds/{again['id']}/send", {"bank_reference": "B2"})
    assert (sent["bank_reference"], sent["sent_at"] is None) == ("B2", False)
    assert await broken_rules(system) == {}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"payee": {"name": "Tea"}}, "payee.account"),
        ({"method": "stripe"}, "method"),
        ({"method": "customer_credit"}, "method"),
        ({"amount": "100.01"}, "amount"),
    ],
)
async def test_a_refund_that_cannot_be_is_told_by_its_field(
    api: Api, asked: dict[str, object], field: str, system: System
) -> None:
    debtor = await with_credit(api)
    body = {"contract_id": debtor.contract_id, "taken_from": "credit", **WAY, **asked}
    refused = await api.post("/refunds", body, expect=422)
    assert refused["errors"][0]["field"] == field
    assert (await api.get("/refunds"))["data"] == []
    assert await broken_rules(system) == {}
