"""What the jobs of a month cost, the dearest first: a page at a time, with how many there are and what all come to.

Amounts are those of the monthly cost report, to the fen: of final invoices, and of open months as they will be.
"""
# ruff: noqa: S608

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from broker.reports.costs import statements
from broker.reports.costs.reading import Asked, list_prices
from broker.work import Work
from pricing.money import Money

NAMES = "customer_id, contract_id, project_id, job_id, kind, unit, quantity, amount, final"
LINES = f"""
    SELECT {NAMES} FROM (SELECT f.*, true AS final FROM ({statements.FINAL.format(billable="true")}) f) f
    UNION ALL SELECT {NAMES} FROM (SELECT o.*, false AS final FROM ({statements.OPEN}) o) o"""
USED = "kind IN ('usage', 'correction')"
PAGE = f"""
    SELECT job_id, customer_id, contract_id, project_id,
           coalesce(sum(quantity) FILTER (WHERE {USED} AND unit = 'gpu_seconds'), 0)::bigint AS gpu_seconds,
           coalesce(sum(quantity) FILTER (WHERE {USED} AND unit = 'tokens'), 0)::bigint AS tokens,
           coalesce(sum(amount) FILTER (WHERE {USED}), 0)::bigint AS micros, bool_and(final) AS final,
           count(*) OVER () AS jobs, (sum(sum(amount) FILTER (WHERE {USED})) OVER ())::bigint AS total
    FROM ({LINES}) l
    WHERE job_id IS NOT NULL AND (CAST(:of_project AS boolean) IS NOT TRUE
                                  OR project_id IS NOT DISTINCT FROM CAST(:project_id AS text))
    GROUP BY 1, 2, 3, 4 ORDER BY micros DESC, job_id LIMIT :limit OFFSET :offset"""


@dataclass(frozen=True)
class JobCost:
    """What one job used in a month, and what that costs. Units: GPU-seconds, tokens."""

    job_id: str
    customer_id: str
    contract_id: str
    project_id: str | None
    gpu_seconds: int
    tokens: int
    cost: Money
    final: bool


@dataclass(frozen=True)
class JobCosts:
    """A page of jobs; `count` and `total` are those of all of them."""

    rows: Sequence[JobCost]
    count: int
    total: Money


@dataclass(frozen=True)
class JobsAsked:
    """Whose jobs of a month, and which page. `of_project`: only those of `project_id`, None: those of none."""

    month: str
    customer_id: str | None = None
    of_project: bool = False
    project_id: str | None = None
    limit: int = 50
    offset: int = 0


async def list_job_costs(work: Work, asked: JobsAsked) -> JobCosts:
    """List what jobs of a month cost, in one statement beside the prices."""
    told = Asked(asked.month, asked.customer_id).tell(work) | await list_prices(work)
    own = {name: getattr(asked, name) for name in ("of_project", "project_id", "limit", "offset")}
    rows = (await work.session.execute(text(PAGE), told | own)).all()
    if not rows:
        return JobCosts((), 0, Money.zero())
    return JobCosts([_read_row(row) for row in rows], rows[0].jobs, Money(rows[0].total or 0))


def _read_row(row: Any) -> JobCost:
    return JobCost(
        job_id=row.job_id,
        customer_id=row.customer_id,
        contract_id=row.contract_id,
        project_id=row.project_id,
        gpu_seconds=row.gpu_seconds,
        tokens=row.tokens,
        cost=Money(row.micros),
        final=row.final,
    )
