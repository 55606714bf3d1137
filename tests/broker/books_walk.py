"""A walk over everything that moves the books, each step of which draws its own particulars by lot.

Contracts of all plans, several of one customer among them, jobs with promises and without, late usage, corrections,
lost runs, grants given, bought, topped up, adjusted, refunded, made void, carried on and expired, months closed,
invoices paid by money and by credit, credited and written off. A refusal is an answer; an answer of 500 is a fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from broker.contracts import service as contracts
from broker.daemon.loops import Daemon
from broker.jobs.running.runs import lose_run
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, Customer, make_customer, sign_contract, upload_dataset
from tests.broker.running_jobs import HOUR, RunningJob, report_usage, settle, start_job

HOURS = {"on_demand": 0, "prepaid": 500, "long_term": 2000}
ZONES = ("Asia/Shanghai", "UTC", "America/New_York", "Australia/Lord_Howe")
SIZES = (1, 59, 3599, HOUR, 3 * HOUR + 7, 400 * HOUR)
TOKENS = (0, 1, 57, 12_345, 2_000_000)


class Lot(Protocol):
    """What decides the particulars of a step."""

    def choice(self, options: Sequence[Any]) -> Any:
        """Choose one of some options, of which there is at least one; the first is the simplest."""
        ...

    def chance(self, share: float) -> bool:
        """Decide yes or no, yes about so often."""
        ...


@dataclass
class Walk:
    """One broker, what was done with it so far, and the lot that decides what is done next."""

    api: Api
    system: System
    clock: ManualClock
    lot: Lot
    customers: list[Customer] = field(default_factory=list)
    jobs: list[RunningJob] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    lost: list[RunningJob] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def post(self, path: str, body: Any = None) -> Any:
        """Ask for something; returns the answer, or None where it is refused."""
        answer = await self.api.call("POST", path, json=body or {})
        assert answer.status_code < 500, f"{path} {body}: {answer.text}"
        self.done.append(f"POST {path} {body or ''} -> {answer.status_code}")
        return answer.json() if answer.is_success else None

    async def pick(self, path: str, **wanted: str) -> Any:
        """Pick one object of a list by lot; None where there is none."""
        listed = (await self.api.get(path, limit=100, **wanted))["data"]
        return self.lot.choice(listed) if listed else None

    async def sign(self) -> None:
        plan = self.lot.choice(list(HOURS))
        terms: dict[str, Any] = {"plan": plan, "committed_gpu_hours": HOURS[plan]}
        if self.lot.chance(0.3):
            terms["monthly_budget"] = self.lot.choice(["0.85", "20.00", "3000.00"])
        if self.lot.chance(0.4):
            terms |= {"tax_mode": self.lot.choice(["on_top", "included"]), "tax_rate": "0.06"}
        if plan != "on_demand":
            terms["overage"] = self.lot.choice(["on_demand", "contract", "block"])
        if plan == "long_term" and self.lot.chance(0.5):
            terms |= {"true_up": "yearly", "ends_at": (self.clock.now + timedelta(days=800)).isoformat()}
        terms["quote_guarantee"] = self.lot.choice(["pause", "cap"])
        terms["billing_day"] = self.lot.choice([1, 1, 15, 28])
        terms["time_zone"] = self.lot.choice(ZONES)
        if plan == "prepaid" and self.lot.chance(0.4):
            terms |= {"rollover": "carry", "rollover_percent": self.lot.choice([100, 37])}
        if plan == "prepaid" and self.lot.chance(0.3):
            terms["committed_tokens"] = 1_000_000
        if self.customers and self.lot.chance(0.3):
            await self._sign_beside(self.lot.choice(self.customers), terms)
            return
        customer = await make_customer(self.api)
        contract = await sign_contract(self.api, customer["id"], starts_at=self.clock.now.isoformat(), **terms)
        self.done.append(f"signed {terms}")
        self.customers.append(Customer(customer["id"], contract, await upload_dataset(self.api, customer["id"])))

    async def _sign_beside(self, customer: Customer, terms: dict[str, Any]) -> None:
        """Sign another contract of a customer, under a number of its own: what ends may go on there."""
        own = {"customer_id": customer.id, "starts_at": self.clock.now.isoformat()}
        signed = await self.post("/contracts", {**own, "contract_number": f"N-{len(self.done)}", **terms})
        if signed is not None:
            self.customers.append(Customer(customer.id, signed, customer.dataset))

    async def begin(self) -> None:
        """Pay what was asked for at signing, and use something under each contract: most steps come to more then."""
        for invoice in (await self.api.get("/invoices", status="open", limit=100))["data"]:
            await self.post(f"/invoices/{invoice['id']}/pay")
        for customer in list(self.customers):
            await self._start(customer, {})
        for job in self.jobs:
            await self._use(job, HOUR + 7, 12_345, timedelta(0))

    async def start(self) -> None:
        customer = self.lot.choice(self.customers)
        promise = self.lot.choice(
            [{}, {"limit_micros": 6_800_000}, {"quote_guarantee": "cap", "cap_micros": 3_400_000}]
        )
        await self._start(customer, promise)

    async def _start(self, customer: Customer, promise: dict[str, Any]) -> None:
        try:
            job = await start_job(self.system, customer, gpu_seconds=self.lot.choice(SIZES[:5]), tokens=1000, **promise)
        except Exception as error:  # noqa: BLE001  a refused hold
            self.done.append(f"start refused: {type(error).__name__}")
            return
        self.done.append(f"job {job.id} of {customer.contract['id']} {promise}")
        self.jobs.append(job)

    async def use(self) -> None:
        """Use something, now or some time ago within the run's life, before its end or after it."""
        if not self.jobs:
            return
        job = self.lot.choice(self.jobs)
        size, tokens = self.lot.choice(SIZES), self.lot.choice(TOKENS)
        ago = self.lot.choice([timedelta(0), timedelta(0), (self.clock.now - job.used_until) / 2])
        if job.id not in self.ended:
            await self._use(job, size, tokens, ago)

    async def _use(self, job: RunningJob, size: int, tokens: int, ago: timedelta) -> None:
        self.done.append(f"{job.id} uses {size} {tokens}")
        await report_usage(self.system, job, gpu_seconds=size, tokens=tokens, ended_at=self.clock.now - ago)

    async def end(self) -> None:
        live = [job for job in self.jobs if job.id not in self.ended]
        if not live:
            return
        job = self.lot.choice(live)
        self.ended.add(job.id)
        if self.lot.chance(0.5):
            self.done.append(f"{job.id} succeeds")
            await settle(self.system, job)
            return
        self.done.append(f"{job.id} is lost")
        async with self.system.work() as work:
            await lose_run(work, job.run_id, "its machine is gone")
        self.lost.append(job)

    async def give_up(self) -> None:
        """Cancel a job that waits to be trained again, and holds for that what it had lost."""
        if self.lost:
            await self.post(f"/jobs/{self._take_lost().id}/cancel")

    def _take_lost(self) -> RunningJob:
        job: RunningJob = self.lot.choice(self.lost)
        self.lost.remove(job)
        return job

    async def correct(self) -> None:
        """Say of an interval that was reported that it was more, or less, or nothing."""
        reported = [job for job in self.jobs if job.sequence]
        if not reported:
            return
        job = self.lot.choice(reported)
        sequence = self.lot.choice(range(job.sequence))
        self.clock.advance(seconds=1)
        data = {"corrects": f"{job.run_id}/{sequence}", "reason": "a walk"}
        data |= {"gpu_seconds": self.lot.choice((0, *SIZES)), "tokens": self.lot.choice(TOKENS)}
        named = {
            "id": f"correction-{len(self.done)}",
            "source": f"/runs/{job.run_id}",
            "time": self.clock.now.isoformat(),
        }
        await self.post("/usage-events", {"specversion": "1.0", "type": "lora.usage.correction", **named, "data": data})

    async def bill(self) -> None:
        """Let the month end, and make one invoice final."""
        await self._wait(24 * 33)
        await self.close()

    async def wait(self) -> None:
        await self._wait(self.lot.choice([1, 30, 30, 24 * 20, 24 * 33, 24 * 33, 24 * 200]))

    async def _wait(self, hours: int) -> None:
        self.clock.advance(hours=hours)
        daemon = Daemon(self.system, None)
        for tick in (
            daemon.sweeps.expire_grants,
            daemon.sweeps.sweep_purchases,
            daemon.sweeps.warn_of_expiry,
            daemon.sweeps.attend_to_ends,
            daemon.sweeps.close_months,
        ):
            await tick()
        self.done.append(f"it is {self.clock.now}")

    async def give(self) -> None:
        amount = self.lot.choice([{"gpu_hours": "1.5"}, {"gpu_hours": "300"}, {"tokens": 50_000}])
        kind = self.lot.choice(["promotional", "compensation"])
        contract = self.lot.choice(self.customers).contract
        await self.post("/grants", {"contract_id": contract["id"], "kind": kind, "reason": "a walk", **amount})

    async def buy(self) -> None:
        contract = self.lot.choice(self.customers).contract
        amount = self.lot.choice([{"gpu_hours": "10"}, {"tokens": 1_000_000}])
        await self.post(
            "/purchases", {"contract_id": contract["id"], "term_months": self.lot.choice([1, 12]), **amount}
        )

    async def cancel_purchase(self) -> None:
        order = await self.pick("/purchases")
        if order is not None:
            await self.post(f"/purchases/{order['id']}/cancel")

    async def end_grant(self) -> None:
        grant = await self.pick("/grants")
        if grant is None:
            return
        if self.lot.chance(0.5):
            await self.post(f"/grants/{grant['id']}/refund")
        else:
            await self.post(f"/grants/{grant['id']}/void", {"reason": "a walk"})

    async def pay(self) -> None:
        invoice = await self.pick("/invoices")
        if invoice is not None:
            await self.post(f"/invoices/{invoice['id']}/pay", {"from_credit": self.lot.chance(0.3)})

    async def top_up(self) -> None:
        contract = self.lot.choice(self.customers).contract
        amount = self.lot.choice([{"threshold_gpu_hours": 450, "purchase_gpu_hours": 50}, {}])
        if amount:
            await self.post(f"/contracts/{contract['id']}/top-up", amount)

    async def give_back(self) -> None:
        """Credit all or a part of an invoice that was paid, an advance among them; or write an open one off."""
        invoice = await self.pick("/invoices", status=self.lot.choice(["paid", "open"]))
        if invoice is None:
            return
        if self.lot.chance(0.3):
            part = self.lot.choice([{}, {"amount": "0.01"}, {"amount": "33.33"}])
            await self.post(
                "/adjustments", {"kind": "bad_debt", "reason": "a walk", "invoice_id": invoice["id"], **part}
            )
            return
        lines = (await self.api.get(f"/invoices/{invoice['id']}"))["lines"]
        if lines:
            line = self.lot.choice(lines)
            amount = self.lot.choice([line["amount"]["amount"], "1.37", "2000.00"])
            named = {"invoice_id": invoice["id"], "reason": "a walk"}
            await self.post("/credit-notes", {**named, "lines": [{"position": line["position"], "amount": amount}]})

    async def void(self) -> None:
        invoice = await self.pick("/invoices", status="open")
        if invoice is not None:
            await self.post(f"/invoices/{invoice['id']}/void", {"reason": "a walk"})

    async def adjust_credit(self) -> None:
        contract = self.lot.choice(self.customers).contract
        amount = self.lot.choice(["5.00", "3000.00", "-0.01", "-5.00"])
        change = {"contract_id": contract["id"], "amount": amount, "reason": "a walk"}
        await self.post("/adjustments", {"kind": "credit", **change})

    async def close(self) -> None:
        invoice = await self.pick("/invoices", status="draft")
        if invoice is not None:
            await self.post(f"/invoices/{invoice['id']}/finalize")

    async def adjust(self) -> None:
        """Give a grant units, take some, or credit a little of a final invoice's line."""
        grant, invoice = await self.pick("/grants"), await self.pick("/invoices", status="open")
        if grant is not None:
            change = {"grant_id": grant["id"], "quantity": self.lot.choice([4, -4, 3599, -7200])}
            await self.post("/adjustments", {"kind": "grant", "reason": "a walk", **change})
        if invoice is not None:
            line = {"position": self.lot.choice([1, 2]), "amount": self.lot.choice(["0.01", "1.37"])}
            await self.post("/credit-notes", {"invoice_id": invoice["id"], "reason": "a walk", "lines": [line]})

    async def amend(self) -> None:
        """Change a contract's terms from now on or from some day, as it was shown."""
        contract = self.lot.choice(self.customers).contract
        change: dict[str, Any] = self.lot.choice(
            [
                {"plan": "on_demand", "committed_gpu_hours": 0},
                {"plan": "prepaid", "committed_gpu_hours": 700},
                {"plan": "long_term", "committed_gpu_hours": 2500},
                {"monthly_budget": "50.00"},
                {"overage": self.lot.choice(["on_demand", "contract", "block"])},
                {"billing_day": self.lot.choice([1, 15, 28]), "time_zone": self.lot.choice(ZONES)},
                {"tax_mode": "on_top", "tax_rate": self.lot.choice(["0.06", "0.13"])},
                {"rate_card": self.lot.choice(["newest", "pinned"])},
                {"true_up": self.lot.choice(["yearly", "at_end"])},
                {"committed_gpu_hours": self.lot.choice([600, 2600])},
                {"ends_at": (self.clock.now + timedelta(days=self.lot.choice([20, 400]))).isoformat()},
            ]
        )
        change["unused_grants"] = self.lot.choice(["carry", "carry", "refund", "expire"])
        if self.lot.chance(0.7):
            moments = [
                self.clock.now + timedelta(days=self.lot.choice([-40, -1, 1, 12])),
                *await self.next_month(contract),
            ]
            change["effective_at"] = self.lot.choice(moments).isoformat()
        shown = await self.post(f"/contracts/{contract['id']}/amendments/preview", change)
        if shown is not None:
            await self.post(f"/contracts/{contract['id']}/amendments", {**change, "preview": shown["preview"]})

    async def next_month(self, contract: dict[str, Any]) -> list[datetime]:
        """Find where the next billing months of a contract begin."""
        async with self.system.work() as work:
            terms = await contracts.get_contract(work, contract["id"])
        first = terms.month_end(terms.billing_month(self.clock.now))
        return [first, terms.month_end(terms.billing_month(first))]

    async def withdraw(self) -> None:
        contract = self.lot.choice(self.customers).contract
        amendment = await self.pick(f"/contracts/{contract['id']}/amendments")
        if amendment is not None:
            await self.post(f"/contracts/{contract['id']}/amendments/{amendment['id']}/withdraw")

    async def end_contract(self) -> None:
        customer = self.lot.choice(self.customers)
        contract = customer.contract
        match self.lot.choice(["cancel", "end", "renew"]):
            case "cancel":
                await self.post(f"/contracts/{contract['id']}/cancel")
            case "end":
                ends_at = self.clock.now + timedelta(days=self.lot.choice([1, 45]))
                await self.post(f"/contracts/{contract['id']}/end", {"ends_at": ends_at.isoformat()})
            case "renew":
                following = await self.post(f"/contracts/{contract['id']}/renewal", {"renew": True})
                if following is not None:
                    self.customers.append(replace(customer, contract=following))
