"""The monthly cost report: the same rated groups as the invoices, added up by customer, contract and project."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms
from broker.identity.tables import Customer, Project
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class CostRow:
    """One contract's cost in one project. Money to the fen; `due` is the cost less what an advance has paid."""

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

    @property
    def cost(self) -> Money:
        return self.gpu_cost + self.token_cost

    @property
    def due(self) -> Money:
        return self.cost - self.advance


@dataclass(frozen=True)
class JobPlace:
    """Where a job's cost belongs."""

    customer_id: str
    customer: str
    project_id: str | None
    project: str | None


async def report_monthly_cost(
    work: Work, month: str, *, customer_id: str | None = None, contract_id: str | None = None
) -> list[CostRow]:
    """Report the contracts' cost of a billing month (in the contract's time zone), by project: of all, or of one."""
    sums = await ledger.list_captured_usage(work, month, contract_id=contract_id)
    terms = await contracts.load_terms(work, {row.contract_id for row in sums})
    places = await _read_places(work, {row.job_id for row in sums})
    groups: defaultdict[tuple[str, str], list[ledger.CapturedUsage]] = defaultdict(list)
    for row in sums:
        groups[row.contract_id, places[row.job_id].project_id or ""].append(row)
    rows = [
        _cost_row(terms[contract_id], places[members[0].job_id], members)
        for (contract_id, _project), members in groups.items()
    ]
    wanted = [row for row in rows if customer_id in {None, row.customer_id}]
    return sorted(wanted, key=lambda row: (row.customer, row.contract_id, row.project or ""))


def _cost_row(terms: ContractTerms, place: JobPlace, groups: list[ledger.CapturedUsage]) -> CostRow:
    gpu = [group for group in groups if group.meter == Unit.GPU_SECONDS]
    tokens = [group for group in groups if group.meter == Unit.TOKENS]
    return CostRow(
        customer_id=place.customer_id,
        customer=place.customer,
        contract_id=terms.id,
        plan=terms.plan.value,
        project_id=place.project_id,
        project=place.project,
        jobs=len({group.job_id for group in groups}),
        gpu_seconds=sum(group.quantity for group in gpu),
        tokens=sum(group.quantity for group in tokens),
        gpu_cost=_add(gpu),
        token_cost=_add(tokens),
        advance=_add(group for group in groups if not group.billable),
    )


def _add(groups: Iterable[ledger.CapturedUsage]) -> Money:
    return sum((group.amount for group in groups), Money.zero())


async def _read_places(work: Work, job_ids: set[str]) -> dict[str, JobPlace]:
    query = (
        select(Job.id, Customer.id, Customer.name, Project.id, Project.name)
        .join(Customer, Customer.id == Job.customer_id)
        .outerjoin(Project, Project.id == Job.project_id)
        .where(Job.id.in_(job_ids))
    )
    return {row[0]: JobPlace(*row[1:]) for row in await work.session.execute(query)}
