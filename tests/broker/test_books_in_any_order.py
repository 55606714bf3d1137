"""Everything that moves the books, in any interleaving: after every step each rule holds and all sums agree.

The steps are those of `books_walk`; Hypothesis draws them with their particulars, and makes a failure small. It prints
its seed: with BOOKS_SEED set to that the same failure comes again and is shrunk (minutes). BOOKS_EXAMPLES and
BOOKS_STEPS make a longer run of it.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from broker.config import Settings
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.reports.reconciliation import reconcile_books
from broker.work import Work
from pricing.usage import METERS, Unit, Usage
from tests.broker.billing.proving import find_unproven
from tests.broker.books_walk import Walk
from tests.broker.conftest import START, ManualClock
from tests.broker.databases import Contents, LentDatabase, read_contents
from tests.broker.running_jobs import broken_rules
from tests.broker.worlds import World, draw_seed, few_runs, open_world

SEED = draw_seed("BOOKS_SEED")
RUNS = few_runs(
    "BOOKS_SEED", examples=int(os.environ.get("BOOKS_EXAMPLES", "3")), steps=int(os.environ.get("BOOKS_STEPS", "24"))
)


@dataclass(frozen=True)
class DrawnLot:
    """A lot whose decisions Hypothesis draws, and makes simpler where a run of them fails."""

    data: st.DataObject

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.data.draw(st.integers(0, len(options) - 1))]

    def chance(self, share: float) -> bool:
        return self.data.draw(st.integers(0, 99)) >= 100 - round(100 * share)


def make_step(name: str) -> Callable[..., None]:
    """Make the rule that takes one step of the walk."""

    def step(machine: "BooksMachine", data: st.DataObject) -> None:
        machine.walk.lot = DrawnLot(data)
        machine.world.run(getattr(machine.walk, name)())

    step.__name__ = name
    return rule(data=st.data())(step)


@hypothesis.seed(SEED)
class BooksMachine(RuleBasedStateMachine):
    """Three contracts and all that can befall them; each example begins with an empty database."""

    world: ClassVar[World]
    lent: ClassVar[LentDatabase]
    empty: ClassVar[Contents]

    def __init__(self) -> None:
        super().__init__()
        self.lent.fill(self.empty)
        self.world.clock.now = START

    @initialize(data=st.data())
    def sign(self, data: st.DataObject) -> None:
        self.walk = Walk(self.world.api, self.world.system, self.world.clock, DrawnLot(data))
        for _contract in range(3):
            self.world.run(self.walk.sign())
        self.world.run(self.walk.begin())

    start, use, use_more, use_again = (make_step(name) for name in ("start", "use", "use", "use"))
    correct, correct_again, end, give_up = (make_step(name) for name in ("correct", "correct", "end", "give_up"))
    wait, wait_more, close, close_more = (make_step(name) for name in ("wait", "wait", "close", "close"))
    bill, bill_more = (make_step(name) for name in ("bill", "bill"))
    give, buy, cancel_purchase, end_grant = (
        make_step(name) for name in ("give", "buy", "cancel_purchase", "end_grant")
    )
    amend, amend_again, amend_more, withdraw = (make_step(name) for name in ("amend", "amend", "amend", "withdraw"))
    pay, adjust, end_contract, sign_more = (make_step(name) for name in ("pay", "adjust", "end_contract", "sign"))
    give_back, adjust_credit, top_up, void = (
        make_step(name) for name in ("give_back", "adjust_credit", "top_up", "void")
    )

    @invariant()
    def every_rule_of_the_ledger_holds(self) -> None:
        assert self.world.run(broken_rules(self.world.system)) == {}, "\n".join(self.walk.done)

    @invariant()
    def all_sums_agree(self) -> None:
        differences, found = self.world.run(self._read())
        assert not any(differences.values()), (differences, self.walk.done)
        for contract_id, books in found.items():
            assert books.faults == [], (contract_id, books, self.walk.done)

    @invariant()
    def every_segment_is_its_exact_price_rounded_once(self) -> None:
        faults = self.world.run(find_wrong_segments(self.world))
        assert faults == [], (faults, self.walk.done)

    @invariant()
    def nothing_of_a_line_is_given_back_twice(self) -> None:
        faults = self.world.run(find_given_back_twice(self.world))
        assert faults == [], (faults, self.walk.done)

    def teardown(self) -> None:
        unproven = self.world.run(find_unproven(self.world.system))
        assert unproven == [], (unproven, self.walk.done)

    async def _read(self) -> tuple[dict[str, Any], dict[str, "Books"]]:
        async with self.world.system.work() as work:
            links = {link.name: link.differences for link in await reconcile_books(work)}
            ids = [customer.contract["id"] for customer in self.walk.customers]
            return links, {contract_id: await read_books(work, contract_id) for contract_id in ids}


@dataclass(frozen=True)
class Books:
    """What is on a contract's accounts, in its grants and in its months. Units: each meter's."""

    in_accounts: dict[Unit, int]
    used: Usage
    charged_by_month: Usage
    grants: list[ledger.GrantBalance]

    @property
    def faults(self) -> list[str]:
        """Name what is lost, less than nothing, or not the sum of its parts."""
        faults = [f"{unit} is not conserved" for unit, total in self.in_accounts.items() if total]
        if self.used != self.charged_by_month:
            faults.append("months do not sum up to what was used")
        for grant in self.grants:
            parts = (grant.free, grant.held, grant.used, grant.gone)
            if min(parts) < 0 or (grant.terms.credited and sum(parts) != grant.terms.quantity):
                faults.append(f"grant {grant.terms.id} has {parts}")
        return faults


async def read_books(work: Work, contract_id: str) -> Books:
    accounts = await ledger.list_accounts(work, contract_id)
    balance = await ledger.read_contract_balance(work, contract_id)
    totals = {unit: sum(row.balance for row in accounts if row.unit == unit.value) for unit in METERS}
    grants = await ledger.read_grant_balances(work, await contracts.list_grants(work, contract_id))
    used = Usage(balance.used_gpu_seconds, balance.used_tokens)
    return Books(totals, used, await _sum_months(work, contract_id), grants)


async def _sum_months(work: Work, contract_id: str) -> Usage:
    """Sum up what all months charge, less what they take back of closed ones."""
    total = Usage()
    for of, month in await ledger.list_months(work):
        if of != contract_id:
            continue
        charged = await ledger.list_captured_usage(work, month, contract_ids=[contract_id])
        taken = await ledger.list_corrections(work, month, contract_ids=[contract_id])
        counts = {meter: sum(each.quantity for each in [*charged, *taken] if each.meter == meter) for meter in METERS}
        total += Usage(counts[Unit.GPU_SECONDS], counts[Unit.TOKENS])
    return total


async def find_wrong_segments(world: World) -> list[Any]:
    """Find rate segments of invoices whose lines are further than half a fen from their exact price together."""
    query = text("""
        SELECT i.id, l.meter, l.unit_price, l.used_month, sum(l.quantity) AS quantity, sum(l.amount_micros) AS micros
        FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
        WHERE l.kind = 'usage' GROUP BY 1, 2, 3, 4""")
    async with world.system.work() as work:
        rows = (await work.session.execute(query)).all()
    faults = []
    for row in rows:
        exact = Fraction(int(row.quantity)) * Fraction(row.unit_price) / (3600 if row.meter == "gpu_seconds" else 1)
        if abs(Fraction(int(row.micros), 1_000_000) - exact) > Fraction(1, 200):
            faults.append(tuple(row))
    return faults


async def find_given_back_twice(world: World) -> list[Any]:
    """Find lines of which credit notes and later months' corrections have given back more than they ask for."""
    query = text("""
        SELECT a.*, r.micros AS taken_back
        FROM (SELECT n.job_id, i.month, n.used_month, n.meter AS unit, n.unit_price, sum(n.amount_micros) AS asked,
                     sum(coalesce(c.micros, 0)) AS credited
              FROM invoice_lines n JOIN invoices i ON i.id = n.invoice_id
              LEFT JOIN (SELECT invoice_line_id, sum(amount_micros) AS micros FROM credit_note_lines GROUP BY 1) c
                  ON c.invoice_line_id = n.id
              WHERE i.number IS NOT NULL AND n.kind IN ('usage', 'correction') AND n.quantity > 0 AND NOT EXISTS (
                  SELECT FROM invoice_lines x
                  WHERE (x.invoice_id, x.position, x.kind) = (n.invoice_id, n.position + 1, 'advance'))
              GROUP BY 1, 2, 3, 4, 5) a
        JOIN (SELECT job_id, corrected_month AS month, used_month, unit, unit_price, sum(amount_micros) AS micros
              FROM rate_corrections WHERE billable GROUP BY 1, 2, 3, 4, 5) r
            USING (job_id, month, used_month, unit, unit_price)
        WHERE a.credited + r.micros > a.asked""")
    async with world.system.work() as work:
        return [tuple(row) for row in await work.session.execute(query)]


@pytest.mark.slow
def test_books_hold_in_any_order(lent: LentDatabase, clock: ManualClock, settings: Settings) -> None:
    print(f"BOOKS_SEED={SEED}")  # noqa: T201 (shown when it fails)
    with asyncio.Runner() as runner:
        opened = open_world(runner, settings, lent.urls, clock)
        BooksMachine.world, BooksMachine.lent = runner.run(opened.__aenter__()), lent
        BooksMachine.empty = read_contents(lent.owner)
        run_state_machine_as_test(BooksMachine, settings=RUNS)
        runner.run(opened.__aexit__(None, None, None))
