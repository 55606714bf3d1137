"""One chain from usage to payments, link by link: what one side of each link says must be what the other side says."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from broker.billing.checks import IS_FINAL, SIDES
from broker.persistence.marks import RECONCILED, read_marks
from broker.work import Work


@dataclass(frozen=True)
class Link:
    """Two sums of the same thing, of each contract. Both queries answer contract_id, unit and quantity."""

    name: str
    left: str
    right: str


@dataclass(frozen=True)
class Difference:
    """A contract for which the two sides of a link differ. Units: quantities in `unit`."""

    contract_id: str | None
    unit: str
    left: int
    right: int


@dataclass(frozen=True)
class Reconciled:
    """A link with the totals of both sides by unit, and where they differ."""

    name: str
    totals: dict[str, tuple[int, int]]
    differences: list[Difference]


METERED = """
    SELECT contract_id, unit, quantity FROM usage_events
    CROSS JOIN LATERAL (VALUES ('gpu_seconds', gpu_seconds), ('tokens', tokens)) AS meters (unit, quantity)"""
CAPTURED = "SELECT contract_id, unit, quantity FROM captures"
PAID_FOR = "SELECT contract_id, unit, quantity FROM captures WHERE NOT borne"
BORNE = "SELECT contract_id, unit, quantity FROM captures WHERE borne"
SEGMENTS = """
    SELECT contract_id, unit, quantity FROM rate_segments
    UNION ALL SELECT contract_id, unit, -quantity FROM rate_corrections"""
USED = "SELECT contract_id, unit, balance FROM ledger_accounts WHERE kind = 'used' AND unit <> 'micro_yuan'"
BORNE_BALANCES = "SELECT contract_id, unit, balance FROM ledger_accounts WHERE kind = 'borne' AND unit <> 'micro_yuan'"

ASKED = f"""
    WITH {SIDES} SELECT contract_id, 'micro_yuan', amount FROM sides
    WHERE kind IN ('receivable', 'customer_credit')
      AND transfer IN ('advance_invoiced', 'advance_cancelled', 'usage_invoiced')"""  # noqa: S608  made of our own words
RECEIVED = f"""
    WITH {SIDES} SELECT contract_id, 'micro_yuan', -amount FROM sides
    WHERE kind = 'receivable' AND transfer IN ('payment_received', 'payment_taken_back', 'credit_used')"""  # noqa: S608

LINKS = (
    Link("usage events = captures", METERED, CAPTURED),
    Link("captures that customers pay for = balances used", PAID_FOR, USED),
    Link("captures that the house bears = balances borne", BORNE, BORNE_BALANCES),
    Link("captures that customers pay for = rate segments, less what later months take back", PAID_FOR, SEGMENTS),
    Link(
        "invoice lines = invoice totals",
        """SELECT i.contract_id, 'micro_yuan' AS unit, l.amount_micros AS quantity
           FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id""",
        "SELECT contract_id, 'micro_yuan', total_micros FROM invoices",
    ),
    Link(
        "final invoices = what is booked as asked for",
        f"SELECT contract_id, 'micro_yuan', total_micros FROM invoices i WHERE {IS_FINAL}",  # noqa: S608
        ASKED,
    ),
    Link(
        "payments of invoices = money that came in for them, or the credit that paid them",
        "SELECT contract_id, 'micro_yuan', paid_micros FROM invoices",
        RECEIVED,
    ),
)


@dataclass(frozen=True)
class LastReconciled:
    """What the daemon's last reconciliation found: for how many contracts the sides of a link differ, and when."""

    differences: int
    at: datetime


async def find_last_reconciled(work: Work) -> LastReconciled | None:
    """Find what the daemon's last reconciliation found; None: there was none yet."""
    mark = (await read_marks(work.session)).get(RECONCILED)
    return None if mark is None else LastReconciled(mark.value, mark.noted_at)


async def reconcile_books(work: Work) -> list[Reconciled]:
    """Reconcile usage, charges, balances, invoices and payments of all contracts."""
    return [await _reconcile(work, link) for link in LINKS]


async def _reconcile(work: Work, link: Link) -> Reconciled:
    query = f"""
        SELECT contract_id, unit, coalesce(sum(quantity) FILTER (WHERE side = 'left'), 0)::bigint AS left,
               coalesce(sum(quantity) FILTER (WHERE side = 'right'), 0)::bigint AS right
        FROM (SELECT 'left' AS side, l.* FROM ({link.left}) AS l (contract_id, unit, quantity)
              UNION ALL SELECT 'right', r.* FROM ({link.right}) AS r (contract_id, unit, quantity)) AS both_sides
        GROUP BY contract_id, unit ORDER BY contract_id, unit"""  # noqa: S608  made of the words above
    rows = [Difference(*row) for row in await work.session.execute(text(query))]
    units = sorted({row.unit for row in rows})
    totals = {unit: _sum_sides(row for row in rows if row.unit == unit) for unit in units}
    return Reconciled(link.name, totals, [row for row in rows if row.left != row.right])


def _sum_sides(rows: Iterable[Difference]) -> tuple[int, int]:
    listed = list(rows)
    return sum(row.left for row in listed), sum(row.right for row in listed)
