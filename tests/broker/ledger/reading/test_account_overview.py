"""What a contract has to spend, and what its money did: the parts add up, and each balance is the sum before it."""

from broker.ledger.reading.account_overview import read_account_overview
from broker.ledger.reading.statement import read_statement
from broker.system import System
from pricing.money import Money
from tests.broker.factories import Api, make_ready_customer, submit_job


async def test_available_is_cash_and_credit_and_grants_less_what_is_frozen(api: Api, system: System) -> None:
    customer = await make_ready_customer(api, plan="prepaid", credit_limit="300.00")
    contract = customer.contract["id"]
    async with system.work() as work:
        before = await read_account_overview(work, contract)
    assert before.grants == Money.from_decimal("2600.00")
    assert before.frozen == Money.zero()
    assert before.available == Money.from_decimal("2900.00")
    await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await api.post(
        "/adjustments", {"kind": "credit", "contract_id": contract, "amount": "7.00", "reason": "Test"}, expect=201
    )
    async with system.work() as work:
        after = await read_account_overview(work, contract)
        told = await read_statement(work, [contract])
        second = await read_statement(work, [contract], page=2, page_size=1)
    assert after.cash == Money.from_decimal("7.00")
    assert after.grants == before.grants
    assert after.frozen > Money.zero()
    assert after.available == before.available + after.cash - after.frozen
    assert told.total == len(told.lines) == 3
    assert [line.amount.format_amount() for line in told.lines] == ["7.00", "2600.00", "-2600.00"]
    assert [line.balance.format_amount() for line in told.lines] == ["7.00", "0.00", "-2600.00"]
    assert second.lines == told.lines[1:2]
    assert second.total == 3


async def test_a_contract_without_a_credit_limit_has_no_credit_that_is_left(api: Api, system: System) -> None:
    customer = await make_ready_customer(api)
    async with system.work() as work:
        shown = await read_account_overview(work, customer.contract["id"])
        assert (await read_statement(work, [customer.contract["id"]])).total == 0
    assert shown.credit_left is None
    assert shown.available == Money.zero()
