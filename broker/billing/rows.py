"""Lines as rows of the table: of an invoice, or of none where they are only shown."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from broker.billing.model import DraftLine, LineDetails
from broker.billing.tables import InvoiceLine


def make_rows(lines: Sequence[DraftLine]) -> list[InvoiceLine]:
    """Make the rows of lines in their order, of no invoice yet."""
    return [InvoiceLine(**values) for values in list_values(lines)]


def list_values(lines: Sequence[DraftLine]) -> list[dict[str, Any]]:
    """List the values of lines in their order, by the columns of their rows, of no invoice yet."""
    return [
        {
            "position": position,
            "kind": line.kind.value,
            "description": line.description,
            "job_id": line.job_id,
            "meter": None if line.meter is None else line.meter.value,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "rate_card_version": line.rate_card_version,
            "used_month": line.used_month,
            "amount_micros": line.amount.micros,
            "basis": line.basis,
            **_write_details(line.details),
        }
        for position, line in enumerate(lines, start=1)
    ]


def _write_details(details: LineDetails) -> dict[str, Any]:
    return {
        "project_id": details.project_id,
        "list_price": details.list_price,
        "list_amount_micros": None if details.list_amount is None else details.list_amount.micros,
        "grants": [asdict(grant) for grant in details.grants],
        "overage": details.overage,
    }
