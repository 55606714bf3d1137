"""The accounts of money beside purses on paper: bills, payments, credit notes, late payments, debts in any order."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broker.billing import service as billing
from broker.config import Settings
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.ledger.reading.history import read_balances_at
from broker.ledger.reading.listing import fetch_accounts
from broker.processes.boot import DatabaseUrls
from pricing.money import Money
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Customer, make_customer, sign_contract, upload_dataset
from tests.broker.running_jobs import HOUR, broken_rules
from tests.broker.worlds import World, draw_seed, few_runs, open_world

SEED = draw_seed("MONEY_SEED")
FEW = few_runs("MONEY_SEED", examples=4, steps=14)
PICK = st.integers(0, 1000)
FEN = st.integers(1, 3_000)
MONTHS_OF_CONTRACTS = 11  # that of hours paid ahead ends after a year
TAXES = st.sampled_from([{}, {"tax_mode": "on_top", "tax_rate": "0.06"}, {"tax_mode": "included", "tax_rate": "0.13"}])


@dataclass
class Purse:
    """What one customer has to do with money, in fen. Nothing of the ledger's code counts it."""

    customer: Customer
    grant_id: str | None
    months: list[str] = field(default_factory=list)
    invoices: list[dict[str, Any]] = field(default_factory=list)
    cash: int = 0
    credit: int = 0

    @property
    def owed(self) -> int:
        return sum(invoice["due"] for invoice in self.invoices)


async def pay_named(world: World, invoice_id: str) -> None:
    """Pay just this invoice; by REST money would settle what is overdue first."""
    async with world.system.work() as work:
        await billing.pay_invoice(work, invoice_id)


def to_fen(shown: dict[str, str]) -> int:
    return Money.from_decimal(shown["amount"]).micros // 10_000


@hypothesis.seed(SEED)
class MoneyMachine(RuleBasedStateMachine):
    """Two contracts, an advance and one in arrears, beside their purses on paper."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.clock.now = datetime(2026, 11, 10, 4, tzinfo=UTC)
        self.purses: list[Purse] = []
        self.months = 0

    @initialize(tax=TAXES)
    def sign(self, tax: dict[str, str]) -> None:
        for plan, hours in (("prepaid", 500), ("on_demand", 0)):
            terms = {"committed_gpu_hours": hours, **({"overage": "contract"} if hours else {}), **tax}
            self.purses.append(self.world.run(open_purse(self.world, plan, terms)))
        advance = self.world.run(self.world.api.get("/invoices"))["data"][0]
        self.purses[0].invoices.append({"id": advance["id"], "due": to_fen(advance["due"]), "advance": True})
        self.pay(0, 0)

    @precondition(lambda self: self.months < MONTHS_OF_CONTRACTS)
    @rule(index=PICK, gpu_seconds=st.integers(1, 300 * HOUR), tokens=st.integers(0, 100_000))
    def bill_a_month(self, index: int, gpu_seconds: int, tokens: int) -> None:
        purse, clock = self.purses[index % 2], self.world.clock
        month = clock.now.strftime("%Y-%m")
        self.months += 1
        self.world.run(use(self.world.system, purse.customer, gpu_seconds, tokens))
        clock.now = clock.now.replace(year=clock.now.year + clock.now.month // 12, month=clock.now.month % 12 + 1)
        invoice = self.world.run(bill(self.world.api, purse.customer, month))
        assert invoice["due"] == invoice["total"]
        purse.invoices.append({"id": invoice["id"], "due": to_fen(invoice["due"]), "lines": invoice["lines"]})

    @rule(index=PICK, which=PICK)
    def pay(self, index: int, which: int) -> None:
        purse = self.purses[index % 2]
        if not purse.invoices:
            return
        invoice = purse.invoices[which % len(purse.invoices)]
        if invoice["due"] or invoice.get("advance"):
            self.world.run(pay_named(self.world, invoice["id"]))
        purse.cash += invoice["due"]
        invoice["due"] = 0

    @rule(index=PICK, which=PICK, line=PICK, fen=FEN)
    def credit(self, index: int, which: int, line: int, fen: int) -> None:
        purse = self.purses[index % 2]
        billed = [invoice for invoice in purse.invoices if invoice.get("lines")]
        if not billed:
            return
        invoice = billed[which % len(billed)]
        position = invoice["lines"][line % len(invoice["lines"])]["position"]
        lines = [{"position": position, "amount": f"{fen / 100:.2f}"}]
        body = {"invoice_id": invoice["id"], "lines": lines, "reason": "Test"}
        answer = self.world.run(self.world.api.call("POST", "/credit-notes", json=body))
        assert answer.status_code in {201, 409, 422}, answer.text
        if answer.status_code == 201:
            total = to_fen(answer.json()["total"])
            off_due = min(total, invoice["due"])
            invoice["due"] -= off_due
            purse.credit += total - off_due

    @rule(index=PICK, which=PICK)
    def give_up(self, index: int, which: int) -> None:
        purse = self.purses[index % 2]
        open_ones = [invoice for invoice in purse.invoices if invoice["due"]]
        if open_ones:
            invoice = open_ones[which % len(open_ones)]
            body = {"kind": "bad_debt", "invoice_id": invoice["id"], "reason": "Test"}
            self.world.run(self.world.api.post("/adjustments", body, expect=201))
            invoice["due"] = 0

    @rule(index=PICK, fen=FEN)
    def pay_late(self, index: int, fen: int) -> None:
        purse = self.purses[index % 2]
        self.world.run(book_late_payment(self.world, purse, fen))
        purse.cash, purse.credit = purse.cash + fen, purse.credit + fen

    @rule(index=PICK, fen=st.integers(-3_000, 3_000).filter(bool))
    def adjust_credit(self, index: int, fen: int) -> None:
        purse = self.purses[index % 2]
        body = {"kind": "credit", "contract_id": purse.customer.contract["id"], "amount": f"{fen / 100:.2f}"}
        possible = purse.credit + fen >= 0
        self.world.run(self.world.api.post("/adjustments", {**body, "reason": "Test"}, expect=201 if possible else 422))
        purse.credit += fen if possible else 0

    @rule(hours=st.integers(-20, 20).filter(bool))
    def adjust_grant(self, hours: int) -> None:
        body = {"kind": "grant", "grant_id": self.purses[0].grant_id, "quantity": hours * HOUR, "reason": "Test"}
        answer = self.world.run(self.world.api.call("POST", "/adjustments", json=body))
        assert answer.status_code in {201, 422}, answer.text

    @invariant()
    def books_agree(self) -> None:
        assert self.world.run(broken_rules(self.world.system)) == {}
        for purse in self.purses:
            balances = self.world.run(read_balances(self.world, purse))
            assert sum(balances.values()) == 0, "what is debited is credited"
            told = {kind: balances[kind] // 10_000 for kind in ("cash", "receivable", "customer_credit")}
            assert told == {"cash": purse.cash, "receivable": purse.owed, "customer_credit": -purse.credit}


async def open_purse(world: World, plan: str, terms: dict[str, Any]) -> Purse:
    owner = await make_customer(world.api)
    contract = await sign_contract(world.api, owner["id"], plan=plan, **terms)
    grants = (await world.api.get("/grants", contract_id=contract["id"]))["data"]
    customer = Customer(owner["id"], contract, await upload_dataset(world.api, owner["id"]))
    return Purse(customer, grants[0]["id"] if grants else None)


async def book_late_payment(world: World, purse: Purse, fen: int) -> None:
    async with world.system.work() as work:
        terms = await contracts.lock_contract(work, purse.customer.contract["id"])
        await ledger.book_credit(work, terms, Money(fen * 10_000), reference="late")


async def read_balances(world: World, purse: Purse) -> Counter[str]:
    """Read the accounts of money of a contract, and see that entries say the same as balances."""
    async with world.system.work() as work:
        wanted = {"contract_id": purse.customer.contract["id"], "unit": "micro_yuan"}
        found, _after = await fetch_accounts(work, as_of=None, limit=100, cursor=None, **wanted)
        booked = await read_balances_at(work, [each.account.id for each in found], work.now)
        balances: Counter[str] = Counter()
        for each in found:
            assert booked[each.account.id] == each.balance
            balances[each.account.kind] += each.balance
        return balances


def test_money_agrees_with_its_purses_on_paper(urls: DatabaseUrls, clock: ManualClock, settings: Settings) -> None:
    print(f"MONEY_SEED={SEED}")  # noqa: T201 (shown when it fails)
    with asyncio.Runner() as runner:
        opened = open_world(runner, settings, urls, clock)
        MoneyMachine.world = runner.run(opened.__aenter__())
        run_state_machine_as_test(MoneyMachine, settings=FEW)
        runner.run(opened.__aexit__(None, None, None))
