"""The monthly cost report, from the month's facts to rows with their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from broker.clock import previous_month
from broker.contracts import service as contracts
from broker.identity import service as identity
from broker.identity.tables import Customer, Project
from broker.reports.costs.contract_parts import read_contract_parts
from broker.reports.costs.costs import Costs, Fact
from broker.reports.costs.grouping import AS_EVER, CostRow, Dimension, Filters, find_columns, group_facts, make_rows
from broker.reports.costs.purchases import read_credits, read_purchases
from broker.reports.costs.reading import Asked, read_borne, read_final, read_open
from broker.work import Work


@dataclass(frozen=True)
class CostQuestion:
    """What is asked: which month, of whom, told apart by what, and whether the month before stands beside it."""

    month: str
    customer_id: str | None = None
    contract_id: str | None = None
    filters: Filters = field(default_factory=Filters)
    group_by: Sequence[Dimension] = AS_EVER
    month_over_month: bool = False

    def ask(self, month: str) -> Asked:
        by_type = Dimension.GPU_TYPE in self.group_by or "gpu_type" in self.filters.wanted
        return Asked(month, self.customer_id, self.contract_id, by_type)


@dataclass(frozen=True)
class Names:
    """The names of customers and projects, by their ids."""

    customers: Mapping[str, str]
    projects: Mapping[str, str]


@dataclass(frozen=True)
class CostReport:
    """The rows of a month and what they add up to."""

    question: CostQuestion
    rows: Sequence[CostRow]
    names: Names

    @property
    def total(self) -> Costs:
        return add_costs([row.costs for row in self.rows])

    @property
    def total_before(self) -> Costs | None:
        if not self.question.month_over_month:
            return None
        return add_costs([row.before or Costs() for row in self.rows])


def add_costs(all_costs: Sequence[Costs]) -> Costs:
    """Add costs up."""
    return Costs(*map(sum, zip(*(costs.values for costs in all_costs), strict=True))) if all_costs else Costs()


async def report_monthly_cost(work: Work, question: CostQuestion) -> CostReport:
    """Report what a billing month (in each contract's time zone) costs: as of now, or as its final invoices say.

    Raises: NotFound, for a customer or a contract that there is not.
    """
    if question.customer_id is not None:
        await identity.get_customer(work, question.customer_id)
    if question.contract_id is not None:
        await contracts.get_contract(work, question.contract_id)
    columns = find_columns(question.group_by)
    groups = group_facts(await list_facts(work, question.ask(question.month)), columns, question.filters)
    before = None
    if question.month_over_month:
        earlier = question.ask(previous_month(question.month))
        before = group_facts(await list_facts(work, earlier), columns, question.filters)
    rows = make_rows(groups, columns, before)
    names = await read_names(work, rows)
    return CostReport(question, sorted(rows, key=lambda row: _order(row, names)), names)


async def list_facts(work: Work, asked: Asked) -> list[Fact]:
    """List all that a month costs, by contract, project and, where asked for, GPU type."""
    used = await read_open(work, asked)
    facts = [*await read_final(work, asked), *used, *await read_contract_parts(work, asked, used)]
    facts += [*await read_borne(work, asked), *await read_purchases(work, asked), *await read_credits(work, asked)]
    open_contracts = {fact.place.contract_id for fact in facts if not fact.final}
    return [fact._replace(final=fact.place.contract_id not in open_contracts) for fact in facts]


async def read_names(work: Work, rows: Sequence[CostRow]) -> Names:
    """Read the names of the customers and projects of rows."""
    customers = {customer_id for row in rows if (customer_id := row.place.get("customer_id"))}
    projects = {project_id for row in rows if (project_id := row.place.get("project_id"))}
    return Names(
        dict((await work.session.execute(select(Customer.id, Customer.name).where(Customer.id.in_(customers)))).all()),
        dict((await work.session.execute(select(Project.id, Project.name).where(Project.id.in_(projects)))).all()),
    )


def _order(row: CostRow, names: Names) -> tuple[str, ...]:
    """Order rows by the customer's name, then by their other columns in turn, projects by name."""
    customer, project = row.place.get("customer_id") or "", row.place.get("project_id") or ""
    others = [value or "" for name, value in row.place.items() if name not in {"customer_id", "project_id"}]
    return names.customers.get(customer, ""), *others, names.projects.get(project, ""), project
