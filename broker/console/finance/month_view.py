"""What the page of a month shows: its figures, why it changed, and rows to drill into. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import urlencode

from broker.console.finance.shares import ShareBar, place_shares
from broker.console.finance.waterfall import Waterfall, place_waterfall
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.reports.commitments.report import CommitmentRow
from broker.reports.costs.changes import MonthChange
from broker.reports.costs.costs import Costs
from broker.reports.costs.grouping import CostRow, Dimension
from broker.reports.costs.job_costs import JobCosts
from broker.reports.costs.report import Names
from broker.reports.pool_margin import PoolMargin
from pricing.money import Money

MONTH_PAGE = "/console/finance/month"
ROWS_SHOWN = 200
NAMES = {
    Dimension.CUSTOMER: N_("Customer"),
    Dimension.CONTRACT: N_("Contract"),
    Dimension.CONTRACT_NUMBER: N_("Contract number"),
    Dimension.PLAN: N_("Plan"),
    Dimension.PROJECT: N_("Project"),
    Dimension.GPU_TYPE: N_("GPU type"),
}
STEPS = {
    "before": N_("Month before"),
    "volume": N_("Volume"),
    "price": N_("Price"),
    "mix": N_("Mix"),
    "grants": N_("Paid by grants"),
    "parts": N_("Contract terms"),
    "tax": N_("Tax"),
    "credits": N_("Credit notes"),
    "after": N_("This month"),
}
AMOUNTS = (
    Column(N_("Jobs"), is_number=True),
    Column(N_("GPU-hours"), is_number=True),
    Column(N_("Tokens"), is_number=True),
    Column(N_("Cost"), is_number=True),
    Column(N_("Paid by grants"), is_number=True),
    Column(N_("Due"), is_number=True),
    Column(N_("Month before"), is_number=True),
    Column(N_("Change"), is_number=True),
)

JOB_COLUMNS = (
    Column(N_("Job")),
    Column(N_("GPU-hours"), is_number=True),
    Column(N_("Tokens"), is_number=True),
    Column(N_("Cost"), is_number=True),
    Column(N_("State")),
)
INTERVAL_COLUMNS = (
    Column(N_("Run")),
    Column(N_("Number"), is_number=True),
    Column(N_("From")),
    Column(N_("To")),
    Column(N_("GPU-seconds"), is_number=True),
    Column(N_("Tokens"), is_number=True),
    Column(N_("GPU type")),
)


@dataclass(frozen=True)
class MonthFigures:
    """The figures above a month. `change` and `grown` are None where there was nothing the month before.

    `used` and `committed` are those of all commitments' periods under way, in GPU-seconds.
    """

    net: Money
    before: Money
    is_final: bool
    used: int
    committed: int

    @property
    def change(self) -> Money | None:
        return self.net - self.before if self.before.micros else None

    @property
    def grown(self) -> Fraction | None:
        return Fraction((self.net - self.before).micros, abs(self.before.micros)) if self.before.micros else None

    @property
    def commit_used(self) -> Fraction | None:
        return Fraction(self.used, self.committed) if self.committed else None


@dataclass(frozen=True)
class ChangeView:
    """Why a month differs from the one before."""

    change: MonthChange
    waterfall: Waterfall


@dataclass(frozen=True)
class Cell:
    """One word of a row: what it says (None: there is none), and where it leads."""

    text: str | None
    href: str | None = None


@dataclass(frozen=True)
class CostLine:
    """A row of the table of costs, by the words that tell it apart."""

    cells: Sequence[Cell]
    costs: Costs
    before: Costs
    final: bool

    @property
    def change(self) -> Money | None:
        return Money(self.costs.due - self.before.due) if self.before.due else None


@dataclass(frozen=True)
class CostTable:
    """The rows of a month by what is asked for, those that come to most; `count` and `total` are of all of them."""

    columns: Sequence[Column]
    lines: Sequence[CostLine]
    count: int
    total: Costs


@dataclass(frozen=True)
class Toggle:
    """A dimension that rows can be told apart by; `by` is what the address says once it is switched."""

    name: str
    is_on: bool
    by: str | None


def read_groups(asked: str | None, usual: Dimension) -> list[Dimension]:
    """Read what rows are told apart by, as an address says it: in its order, each once."""
    return [usual] if asked is None else [Dimension(name) for name in dict.fromkeys(asked.split(","))]


def list_toggles(groups: Sequence[Dimension]) -> list[Toggle]:
    """List all dimensions, each with the groups that there are once it is switched on or off."""
    return [
        Toggle(
            name,
            each in groups,
            ",".join(other for other in Dimension if (other in groups) != (other == each)) or None,
        )
        for each, name in NAMES.items()
    ]


def make_figures(change: MonthChange, commitments: Sequence[CommitmentRow], *, is_final: bool) -> MonthFigures:
    """Make the figures of a month."""
    attained = [row.commitment.attained for row in commitments]
    used, committed = (sum(getattr(each, name) for each in attained) for name in ("used", "committed"))
    return MonthFigures(change.after, change.before, is_final, used, committed)


def make_change(change: MonthChange) -> ChangeView:
    """Lay out why a month differs; a step that is nought is left out of the picture, and stands in the table."""
    shown = {name: step for name, step in change.steps.items() if step.micros}
    return ChangeView(change, place_waterfall(change.before, shown, change.after))


def make_table(rows: Sequence[CostRow], by: Sequence[Dimension], names: Names, month: str) -> CostTable:
    """Lay out rows by what they are told apart by; customers and projects lead on to what is under them."""
    lines = [
        CostLine(
            [_name_cell(each, row.place, names, month) for each in by], row.costs, row.before or Costs(), row.final
        )
        for row in rows
    ]
    total = sum((row.costs for row in rows), Costs())
    return CostTable([*(Column(NAMES[each]) for each in by), *AMOUNTS], lines[:ROWS_SHOWN], len(lines), total)


def _name_cell(dimension: Dimension, place: Mapping[str, str | None], names: Names, month: str) -> Cell:
    customer_id, project_id = place.get("customer_id"), place.get("project_id")
    if dimension == Dimension.CUSTOMER and customer_id:
        return Cell(names.customers.get(customer_id), link_month(month, customer_id=customer_id, by="project"))
    if dimension == Dimension.PROJECT:
        if customer_id is None:
            return Cell(names.projects.get(project_id or ""))
        href = link_month(month, customer_id=customer_id, project_id=project_id or "none")
        return Cell(names.projects.get(project_id or ""), href)
    if dimension == Dimension.CONTRACT:
        return Cell(place.get("contract_number"), link_month(month, customer_id=customer_id, by="project"))
    return Cell(place.get({Dimension.CONTRACT_NUMBER: "contract_number"}.get(dimension, dimension.value)))


def link_month(month: str, **more: str | None) -> str:
    """Write the address of a month's page."""
    told = {"month": month, **{name: value for name, value in more.items() if value is not None}}
    return f"{MONTH_PAGE}?{urlencode(told)}"


def share_projects(rows: Sequence[CostRow], names: Names, month: str) -> Sequence[ShareBar]:
    """Place what projects cost as bars."""
    return place_shares(
        (
            _name_project(row, names),
            Money(row.costs.cost),
            link_month(
                month, customer_id=row.place.get("customer_id"), project_id=row.place.get("project_id") or "none"
            ),
        )
        for row in rows
        if row.costs.cost
    )


def _name_project(row: CostRow, names: Names) -> str:
    """Name a project with its customer: several have projects of one name, and usage of none."""
    customer = names.customers.get(row.place.get("customer_id") or "", "")
    project = names.projects.get(row.place.get("project_id") or "")
    return customer if project is None else f"{customer} · {project}"


def share_pools(rows: Sequence[PoolMargin]) -> Sequence[ShareBar]:
    """Place what usage on pools came to as bars; None: it was reported from outside."""
    return place_shares((row.pool, row.charged, None) for row in rows)


@dataclass(frozen=True)
class JobsView:
    """A page of a project's jobs of a month."""

    found: JobCosts
    customer: str
    customer_id: str
    project: str | None
