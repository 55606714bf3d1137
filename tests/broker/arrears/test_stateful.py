"""Invoices, payments, credit, time given and days in any order: the state is always what the facts say."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from broker.arrears.facts import read_facts
from broker.arrears.model import decide_standing
from broker.arrears.sweep import sweep
from broker.arrears.tables import ArrearsDeletion, ArrearsRecord
from broker.clock import local_day
from broker.config import Settings
from broker.contracts import service as contracts
from broker.contracts.terms.arrears import ArrearsState, Use
from broker.datasets.tables import Dataset
from broker.jobs.tables import Job
from broker.processes.boot import DatabaseUrls
from tests.broker.arrears.debtors import LENGTHS
from tests.broker.billing.invoicing import bill, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Customer, make_customer, sign_contract, upload_dataset
from tests.broker.running_jobs import RunningJob, broken_rules, start_job
from tests.broker.worlds import World, draw_seed, few_runs, open_world

SEED = draw_seed("ARREARS_SEED")
FEW = few_runs("ARREARS_SEED", examples=3, steps=12)
PICK = st.integers(0, 1000)
HOUR = 3600


@dataclass
class Debtor:
    """A customer with a contract that is paid on credit, a job that runs under it, and its invoices."""

    customer: Customer
    job: RunningJob
    invoices: list[str] = field(default_factory=list)

    @property
    def contract_id(self) -> str:
        return str(self.customer.contract["id"])


async def make_debtor(world: World) -> Debtor:
    customer_id = (await make_customer(world.api))["id"]
    signed = await sign_contract(world.api, customer_id, payment_days=0, arrears=LENGTHS)
    customer = Customer(customer_id, signed, await upload_dataset(world.api, customer_id))
    return Debtor(customer, await start_job(world.system, customer, gpu_seconds=HOUR, tokens=10))


@hypothesis.seed(SEED)
class ArrearsMachine(RuleBasedStateMachine):
    """One customer who pays late, or not at all, beside the pure function of what it owes."""

    world: ClassVar[World]

    @initialize()
    def begin(self) -> None:
        self.world.clock.now = datetime(2026, 11, 10, 4, tzinfo=UTC)
        self.debtor = self.world.run(make_debtor(self.world))

    @rule(hours=st.integers(1, 20))
    def bill_a_month(self, hours: int) -> None:
        clock, month = self.world.clock, self.world.clock.now.strftime("%Y-%m")
        if self.read_state() not in {"current", "grace"} or clock.now.year > 2026 + 2:
            return
        if self.read_state() == "current":  # what is used while nothing new is sold was begun before
            self.world.run(use(self.world.system, self.debtor.customer, hours * HOUR))
        clock.now = datetime(clock.now.year + clock.now.month // 12, clock.now.month % 12 + 1, 1, 4, tzinfo=UTC)
        self.world.run(sweep(self.world.system))
        self.debtor.invoices.append(self.world.run(bill(self.world.api, self.debtor.customer, month))["id"])

    @rule(which=PICK)
    def pay(self, which: int) -> None:
        """Pay whichever invoice: it is taken in every state."""
        if self.debtor.invoices:
            invoice_id = self.debtor.invoices[which % len(self.debtor.invoices)]
            self.world.run(self.world.api.post(f"/invoices/{invoice_id}/pay"))

    @rule(yuan=st.integers(1, 200))
    def give_credit(self, yuan: int) -> None:
        body = {"kind": "credit", "contract_id": self.debtor.contract_id, "amount": f"{yuan}.00", "reason": "Test"}
        self.world.run(self.world.api.post("/adjustments", body, expect=201))

    @rule(days=st.integers(1, 6))
    def let_days_pass(self, days: int) -> None:
        self.world.clock.now += timedelta(days=days)

    @rule(days=st.integers(0, 5))
    def give_time(self, days: int) -> None:
        today = local_day(self.world.clock.now, "Asia/Shanghai")
        body = {"until": (today + timedelta(days=days)).isoformat(), "reason": "Promised by phone"}
        place = f"/contracts/{self.debtor.contract_id}/arrears/extensions"
        answer = self.world.run(self.world.api.call("POST", place, json=body))
        assert answer.status_code in {201, 409}

    @invariant()
    def state_is_what_facts_say(self) -> None:
        self.world.run(sweep(self.world.system))
        told = self.world.run(self.look())
        assert told["kept"] == told["decided"] == told["on_contract"]
        if told["running"] != Use.ALL and told["job"]["status"] == "running":
            assert told["job"]["stop_requested"] in {"arrears", "cancel"}, "nothing runs on beyond paid grants"
        assert told["is_kept"] or told["on_contract"] == ArrearsState.CLOSED
        assert all(deleted_on >= announced_on for deleted_on, announced_on in told["deleted"])

    def read_state(self) -> str:
        return str(self.world.run(self.look())["on_contract"].value)

    async def look(self) -> dict[str, Any]:
        async with self.world.system.work() as work:
            terms = await contracts.get_contract(work, self.debtor.contract_id)
            record = await work.session.scalar(select(ArrearsRecord).where(ArrearsRecord.contract_id == terms.id))
            today = local_day(work.now, terms.time_zone)
            decided = decide_standing(await read_facts(work, terms, record), today)
            job = await work.session.get_one(Job, self.debtor.job.id)
            dataset = await work.session.get_one(Dataset, self.debtor.customer.dataset["id"])
            deletions = await work.session.scalars(select(ArrearsDeletion))
            days: list[tuple[date, date]] = [
                (local_day(row.created_at, terms.time_zone), row.announced_on) for row in deletions
            ]
            return {
                "kept": ArrearsState.CURRENT if record is None else ArrearsState(record.state),
                "decided": decided.state,
                "on_contract": terms.arrears_state,
                "running": terms.allowed.running,
                "job": {"status": job.status, "stop_requested": job.stop_requested},
                "is_kept": dataset.deleted_at is None,
                "deleted": days,
            }

    def teardown(self) -> None:
        assert self.world.run(broken_rules(self.world.system)) == {}


def test_state_is_what_facts_say_in_any_order(urls: DatabaseUrls, clock: ManualClock, settings: Settings) -> None:
    print(f"ARREARS_SEED={SEED}")  # noqa: T201 (shown when it fails)
    with asyncio.Runner() as runner:
        opened = open_world(runner, settings, urls, clock)
        ArrearsMachine.world = runner.run(opened.__aenter__())
        run_state_machine_as_test(ArrearsMachine, settings=FEW)
        runner.run(opened.__aexit__(None, None, None))
