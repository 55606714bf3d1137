"""Our side: holds under contracts, placed by the functions that admission places them by, without a job around them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select

from benchmarks.holds.placing import GPU_SECONDS, PLENTY, Account
from broker.contracts import service as contracts
from broker.contracts.reading.candidates import Place, lock_candidates, read_candidates
from broker.contracts.terms.model import NewContract, NewGrant, QuoteGuarantee
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.ledger.tables import HoldLeg
from broker.persistence.batches import Batches
from broker.persistence.database import Scope, TimeLimits
from broker.persistence.driver import COMMIT, run_together
from broker.reports.verify import verify_ledger
from broker.system import System
from broker.work import SYSTEM_ACTOR, Work
from pricing.grants import GrantKind
from pricing.plans import PlanName
from pricing.usage import Usage

NEED = ledger.HoldNeed(Usage(GPU_SECONDS, 0))
# A contract, and the job that the hold is for.
Call = tuple[str, str]


@dataclass
class OurHolds:
    """Places holds: those of one customer that come together are one batch, as submissions are."""

    system: System
    batches: Batches[str, Call, str] = field(init=False)

    def __post_init__(self) -> None:
        self.batches = Batches(self.decide, self.system.services.settings.turn_seconds)

    async def place(self, account: Account) -> None:
        await self.batches.ask(account.owner, (account.id, self.system.services.new_id("job")))

    async def decide(self, customer_id: str, calls: Sequence[Call]) -> Sequence[str]:
        """Decide a batch in one transaction: what it reads is one message, what it writes another."""
        moment = self.system.services.clock()
        places = {Place(customer_id, contract_id) for contract_id, _job_id in calls}
        job_ids = [job_id for _contract_id, job_id in calls]
        reading = [*lock_candidates(places, moment), *ledger.read_holds(places, job_ids, moment)]
        limits = TimeLimits(self.system.services.settings.lock_seconds)
        begun = self.system.database.transaction_with(reading, Scope.TENANT, customer_id, limits=limits)
        async with begun as (session, (locked, grants, *found)):
            work = Work(session, SYSTEM_ACTOR, self.system.services)
            snapshot = await ledger.read_snapshot(work, await read_candidates(work, locked, grants), found, moment)
            writing = ledger.write_holds(work.services, plan_holds(snapshot, calls, moment))
            await run_together(work.connection, writing, after=COMMIT)
        return job_ids


def plan_holds(
    snapshot: ledger.HoldSnapshot, calls: Sequence[Call], moment: datetime
) -> list[tuple[ledger.ContractBooks, ledger.NewHold]]:
    """Plan the holds one after the other, each upon what those before it have left."""
    planned = []
    reserves = {contract_id: books.reserves for contract_id, books in snapshot.books.items()}
    for contract_id, job_id in calls:
        books = snapshot.books[contract_id]
        legs = reserves[contract_id].plan_hold(NEED, moment)
        reserves[contract_id] = reserves[contract_id].less(legs)
        planned.append((books, ledger.NewHold(job_id, job_id, NEED, legs)))
    return planned


async def open_contracts(system: System, customers: int, contracts_each: int) -> list[Account]:
    """Sign contracts with hours that no load uses up; returns them as the accounts that holds are placed on."""
    async with system.work() as work:
        names = [f"Customer {work.new_id('load')}" for _ in range(customers)]
        owners = [(await identity.create_customer(work, name)).id for name in names]
        return [await open_contract(work, owner) for owner in owners for _ in range(contracts_each)]


async def open_contract(work: Work, customer_id: str) -> Account:
    new = NewContract(
        customer_id=customer_id,
        plan=PlanName.ON_DEMAND,
        committed_gpu_hours=0,
        starts_at=work.now,
        ends_at=None,
        overage=None,
        quote_guarantee=QuoteGuarantee.PAUSE,
        monthly_budget_micros=None,
        time_zone=None,
        billing_day=1,
    )
    terms = await contracts.create_contract(work, new)
    block = NewGrant(GrantKind.PROMOTIONAL, PLENTY, terms.prices_at(work.now).per_gpu_hour)
    grant = await contracts.create_grant(work, terms, block)
    await ledger.credit_grant(work, grant.id)
    return Account(customer_id, terms.id)


async def count_held(system: System) -> int:
    """Count the GPU-seconds that all holds have taken. Raises: RuntimeError, where the books are wrong."""
    async with system.work() as work:
        broken = {result.rule: result.broken for result in await verify_ledger(work.session) if result.broken}
        if broken:
            raise RuntimeError(f"the books are wrong: {broken}")
        return int(await work.session.scalar(select(func.sum(HoldLeg.held))) or 0)
