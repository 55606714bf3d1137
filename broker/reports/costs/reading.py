"""Reading what usage costs in a month: off final invoices where it is closed, as their invoices will be where not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from broker.contracts import service as contracts
from broker.contracts.cards.rate_cards import list_cards
from broker.reports.costs import statements
from broker.reports.costs.costs import Fact, make_fact
from broker.work import Work
from pricing.plans import PlanName
from pricing.usage import METERS


@dataclass(frozen=True)
class Asked:
    """Of which month, and of whom; `by_gpu_type`: amounts are shared among the types of device too."""

    month: str
    customer_id: str | None = None
    contract_id: str | None = None
    by_gpu_type: bool = False

    def tell(self, work: Work) -> dict[str, Any]:
        """Tell the parameters of the statements."""
        whose = {"customer_id": self.customer_id, "contract_id": self.contract_id}
        return {"month": self.month, "asking": work.confined_to, **whose}


FINAL = statements.sum_lines(statements.FINAL.format(billable="true"), statements.BY_LINES)
FINAL_BY_TYPE = statements.sum_lines(
    statements.share_lines(statements.FINAL.format(billable=statements.IS_BILLABLE), "NOT c.borne"),
    statements.BY_LINES,
    "l.gpu_type",
)
OPEN = statements.sum_lines(statements.OPEN, statements.BY_USAGE)
OPEN_BY_TYPE = statements.sum_lines(
    statements.share_lines(statements.OPEN, "NOT c.borne"), statements.BY_USAGE, "l.gpu_type"
)
BORNE = statements.sum_lines(statements.BORNE, "0")
BORNE_BY_TYPE = statements.sum_lines(statements.share_lines(statements.BORNE, "c.borne"), "0", "l.gpu_type")
HAS_OPEN = f"""
    SELECT EXISTS (SELECT FROM rate_lines r WHERE r.month = :month AND {statements.NOT_CLOSED.format("r")})
        OR EXISTS (SELECT FROM rate_corrections r WHERE r.month = :month AND {statements.NOT_CLOSED.format("r")})"""  # noqa: S608


async def read_final(work: Work, asked: Asked) -> list[Fact]:
    """Read what final invoices of the month say, all their lines."""
    return await _read(work, asked, FINAL_BY_TYPE if asked.by_gpu_type else FINAL, final=True)


async def read_open(work: Work, asked: Asked) -> list[Fact]:
    """Read what usage costs by now of contracts whose month is not closed."""
    told = asked.tell(work)
    if not await work.session.scalar(text(HAS_OPEN), told):
        return []
    prices = await list_prices(work)
    return await _read(work, asked, OPEN_BY_TYPE if asked.by_gpu_type else OPEN, prices, final=False)


async def read_borne(work: Work, asked: Asked) -> list[Fact]:
    """Read what the house bore in the month: by the same rounding as the margin report."""
    return await _read(work, asked, BORNE_BY_TYPE if asked.by_gpu_type else BORNE, final=True)


async def _read(
    work: Work, asked: Asked, query: str, more: Mapping[str, Sequence[Any]] | None = None, *, final: bool
) -> list[Fact]:
    told = {**asked.tell(work), **(more or {})}
    rows = (await work.session.execute(text(query), told)).mappings().all()
    amended = await contracts.load_terms(work, {row["contract_id"] for row in rows if row["amended"]})
    return [make_fact(dict(row), amended.get(row["contract_id"]), asked.month, final=final) for row in rows]


async def list_prices(work: Work) -> dict[str, list[Any]]:
    """List the on-demand prices of every card on every GPU type that anything ran on; '' is a type that is unknown."""
    query = "SELECT gpu_type FROM runs UNION SELECT gpu_type FROM usage_streams UNION SELECT NULL"
    types = sorted({name or "" for name in await work.session.scalars(text(query))})
    cards = [listed.card for listed in await list_cards(work)]
    rows = [
        (card.version, name, meter.value, card.prices(PlanName.ON_DEMAND, name or None).of(meter))
        for card in cards
        for name in types
        for meter in METERS
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    return dict(zip(("versions", "types", "meters", "prices"), columns, strict=True))
