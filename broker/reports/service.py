"""The monthly cost report: the same rated groups as the invoices, added up by customer, contract and project."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import select

from broker.billing.lines.tiers import tier_lines
from broker.billing.model import sum_lines
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.identity import service as identity
from broker.identity.tables import Customer, Project
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.metering.tables import UsageStream
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class CostRow:
    """One contract's cost in one project. Money to the fen; `due` is the cost less what an advance has paid.

    What volume tiers take off a contract's month is of all its projects: it is on the row without one.
    """

    customer_id: str
    customer: str
    contract_id: str
    plan: str
    project_id: str | None
    project: str | None
    jobs: int
    gpu_seconds: int
    tokens: int
    gpu_cost: Money
    token_cost: Money
    advance: Money
    tier_settlement: Money

    @property
    def cost(self) -> Money:
        return self.gpu_cost + self.token_cost

    @property
    def due(self) -> Money:
        return self.cost - self.advance + self.tier_settlement


@dataclass(frozen=True)
class JobPlace:
    """Where the cost of a job belongs, or of a stream of usage from outside, which `is_job` is false for."""

    customer_id: str
    customer: str
    project_id: str | None
    project: str | None
    is_job: bool


async def report_monthly_cost(
    work: Work, month: str, *, customer_id: str | None = None, contract_id: str | None = None
) -> list[CostRow]:
    """Report the contracts' cost of a billing month (in the contract's time zone), by project: of all, or of one.

    Raises: NotFound, for a customer or a contract that there is not.
    """
    if customer_id is not None:
        await identity.get_customer(work, customer_id)
    if contract_id is not None:
        await contracts.get_contract(work, contract_id)
    sums = await ledger.list_captured_usage(work, month, contract_id=contract_id)
    sums += await ledger.list_corrections(work, month, contract_id=contract_id)
    terms = await contracts.load_terms(work, {row.contract_id for row in sums})
    places = await _read_places(work, {row.job_id for row in sums})
    groups: defaultdict[tuple[str, str], list[ledger.CapturedUsage]] = defaultdict(list)
    for row in sums:
        groups[row.contract_id, places[row.job_id].project_id or ""].append(row)
    rows = [
        _cost_row(terms[contract_id], [places[member.job_id] for member in members], members)
        for (contract_id, _project), members in groups.items()
    ]
    for contract in terms.values():
        amount = sum_lines(await tier_lines(work, contract, month))
        rows = _settle(rows, contract.id, amount) if amount.micros else rows
    wanted = [row for row in rows if customer_id in {None, row.customer_id}]
    return sorted(wanted, key=lambda row: (row.customer, row.contract_id, row.project or ""))


def _settle(rows: list[CostRow], contract_id: str, amount: Money) -> list[CostRow]:
    """Put the settlement of a contract's tiers on its row without a project, or on a row of its own."""
    own = [row for row in rows if row.contract_id == contract_id]
    bare = next((row for row in own if row.project_id is None), None)
    if bare is not None:
        return [replace(row, tier_settlement=amount) if row is bare else row for row in rows]
    zero = Money.zero()
    unused = replace(own[0], project_id=None, project=None, jobs=0, gpu_seconds=0, tokens=0)
    return [*rows, replace(unused, gpu_cost=zero, token_cost=zero, advance=zero, tier_settlement=amount)]


def _cost_row(terms: ContractTerms, places: list[JobPlace], groups: list[ledger.CapturedUsage]) -> CostRow:
    place = places[0]
    gpu = [group for group in groups if group.meter == Unit.GPU_SECONDS]
    tokens = [group for group in groups if group.meter == Unit.TOKENS]
    return CostRow(
        customer_id=place.customer_id,
        customer=place.customer,
        contract_id=terms.id,
        plan=terms.plan.value,
        project_id=place.project_id,
        project=place.project,
        jobs=len({group.job_id for group, place in zip(groups, places, strict=True) if place.is_job}),
        gpu_seconds=sum(group.quantity for group in gpu),
        tokens=sum(group.quantity for group in tokens),
        gpu_cost=_add(gpu),
        token_cost=_add(tokens),
        advance=_add(group for group in groups if not group.billable),
        tier_settlement=Money.zero(),
    )


def _add(groups: Iterable[ledger.CapturedUsage]) -> Money:
    return sum((group.amount for group in groups), Money.zero())


async def _read_places(work: Work, user_ids: set[str]) -> dict[str, JobPlace]:
    return await _read_places_in(work, Job, user_ids) | await _read_places_in(work, UsageStream, user_ids)


async def _read_places_in(work: Work, table: type[Job | UsageStream], user_ids: set[str]) -> dict[str, JobPlace]:
    query = (
        select(table.id, Customer.id, Customer.name, Project.id, Project.name)
        .join(Customer, Customer.id == table.customer_id)
        .outerjoin(Project, Project.id == table.project_id)
        .where(table.id.in_(user_ids))
    )
    return {row[0]: JobPlace(*row[1:], is_job=table is Job) for row in await work.session.execute(query)}
