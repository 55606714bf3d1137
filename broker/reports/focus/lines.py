"""Reading what the FOCUS export is made of: lines of final invoices, credit notes, and cancelled orders of a month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from broker.clock import month_end, month_start
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.work import Work

# A billing month may begin on any day, in any zone: so much before or after the calendar's is looked at.
AROUND = timedelta(days=32)
# Whose rows are asked for, and which may be seen: the same rule as row-level security, kept here a second time.
SEEN = """(CAST(:asking AS text) IS NULL OR i.customer_id = :asking)
      AND (CAST(:customer_id AS text) IS NULL OR i.customer_id = :customer_id)
      AND (CAST(:contract_id AS text) IS NULL OR i.contract_id = :contract_id)"""
# A line that the next one takes off again was paid by a grant. Advance invoices are of the month of their number, and
# stay there if their order is void: so what a tool has read of a month that is over goes on being true. So does an
# invoice for usage that was made void: its credit note takes it off.
LINES = f"""
    SELECT i.id AS invoice_id, i.number, i.customer_id, u.name AS customer, i.contract_id, i.month, i.issuer,
           i.grant_id, i.finalized_at AS booked_at, l.kind, l.description, l.job_id, l.project_id, p.name AS project,
           l.meter, l.quantity, l.unit_price, l.rate_card_version, l.used_month, l.list_price, l.list_amount_micros,
           l.grants, l.basis, l.amount_micros, j.name AS job, j.labels,
           (SELECT string_agg(DISTINCT r.gpu_type, ',') FROM runs r WHERE r.job_id = l.job_id) AS gpu_type,
           lead(l.kind) OVER (PARTITION BY l.invoice_id ORDER BY l.position) = 'advance' AS taken_off
    FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id JOIN customers u ON u.id = i.customer_id
    LEFT JOIN projects p ON p.id = l.project_id LEFT JOIN jobs j ON j.id = l.job_id
    WHERE i.status <> 'draft' AND {SEEN}
      AND (i.kind = 'usage' AND i.month = :month
           OR i.kind = 'advance' AND i.finalized_at >= :first AND i.finalized_at < :last)
    ORDER BY i.number, l.position"""  # noqa: S608 (all of it is written here)
NOTES = f"""
    SELECT n.number, i.customer_id, u.name AS customer, i.contract_id, i.issuer, n.reason, n.total_micros,
           n.created_at AS booked_at, i.number AS invoice
    FROM credit_notes n JOIN invoices i ON i.id = n.invoice_id JOIN customers u ON u.id = i.customer_id
    WHERE n.created_at >= :first AND n.created_at < :last AND {SEEN}
    ORDER BY n.number"""  # noqa: S608

CANCELLED = f"""
    SELECT i.number, i.customer_id, u.name AS customer, i.contract_id, i.issuer, i.grant_id, i.total_micros,
           CASE WHEN i.tax_mode = 'on_top' THEN i.tax_micros ELSE 0 END AS tax_on_top_micros, t.created_at AS booked_at
    FROM invoices i JOIN customers u ON u.id = i.customer_id
    JOIN ledger_transfers t ON t.contract_id = i.contract_id AND t.kind = 'advance_cancelled' AND t.reference = i.id
    WHERE i.status = 'void' AND t.created_at >= :first AND t.created_at < :last AND {SEEN}
    ORDER BY i.number"""  # noqa: S608


@dataclass(frozen=True)
class FocusLines:
    """What was read, and the contracts and grants that it is of, by their ids."""

    month: str
    lines: Sequence[Mapping[str, Any]]
    notes: Sequence[Mapping[str, Any]]
    cancelled: Sequence[Mapping[str, Any]]
    terms: Mapping[str, ContractTerms]
    grants: Mapping[str, GrantTerms]


async def read_focus_lines(
    work: Work, month: str, *, customer_id: str | None = None, contract_id: str | None = None
) -> FocusLines:
    """Read the lines of final invoices of a billing month, and what was sold ahead, cancelled and credited in it."""
    first, last = month_start(month, "UTC") - AROUND, month_end(month, "UTC") + AROUND
    whose = {"asking": work.confined_to, "customer_id": customer_id, "contract_id": contract_id}
    asked = {"month": month, "first": first, "last": last, **whose}
    lines, notes, cancelled = [
        [dict(row) for row in (await work.session.execute(text(query), asked)).mappings()]
        for query in (LINES, NOTES, CANCELLED)
    ]
    terms = await contracts.load_terms(work, {row["contract_id"] for row in [*lines, *notes, *cancelled]})
    own = [row for row in lines if row["month"] == month or _is_of(row, terms, month)]
    grants = {grant["grant_id"] for row in own for grant in row["grants"]}
    grants |= {row["grant_id"] for row in own if row["grant_id"] is not None}
    found = await contracts.load_grants(work, grants)
    noted, ended = ([row for row in rows if _is_of(row, terms, month)] for rows in (notes, cancelled))
    return FocusLines(month, own, noted, ended, terms, found)


def _is_of(row: Mapping[str, Any], terms: Mapping[str, ContractTerms], month: str) -> bool:
    """Tell whether an advance invoice, its end or a credit note was booked in this month of its contract."""
    booked_at: datetime = row["booked_at"]
    return row.get("month") is None and terms[row["contract_id"]].billing_month(booked_at) == month


def as_units(quantity: int, meter: str | None) -> Decimal:
    """Answer a quantity as it is priced: GPU-seconds as hours, exact to eleven places."""
    if meter == "gpu_seconds":
        return (Decimal(quantity) / 3600).quantize(Decimal("1e-11")).normalize()
    return Decimal(quantity)
