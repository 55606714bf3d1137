"""The rows of a document for spreadsheets: one a line, money as plain decimals."""

from collections.abc import Iterator

from broker.billing.documents.document import Source
from broker.billing.model import LineKind
from broker.http.shapes import as_hours
from pricing.money import Money
from pricing.usage import Unit

COLUMNS = (
    "invoice",
    "month",
    "contract_number",
    "purchase_order",
    "position",
    "kind",
    "project_id",
    "project",
    "job_id",
    "meter",
    "quantity",
    "gpu_hours",
    "list_price",
    "unit_price",
    "list_amount",
    "overage",
    "grants",
    "amount",
    "currency",
    "description",
)
# What customers wrote, or may have written: no spreadsheet may take it for a formula.
WRITTEN_OUTSIDE = ("contract_number", "purchase_order", "project", "description")
Cell = str | int | None


def list_rows(source: Source) -> Iterator[dict[str, Cell]]:
    """List a document's rows; the amounts add up to the invoice's total."""
    invoice = source.invoice
    for line in source.lines:
        seconds = line.quantity if line.meter == Unit.GPU_SECONDS else None
        yield {
            "invoice": invoice.number,
            "month": invoice.month,
            "contract_number": invoice.contract_number,
            "purchase_order": invoice.purchase_order,
            "position": line.position,
            "kind": LineKind(line.kind).value,
            "project_id": line.project_id,
            "project": source.projects.get(line.project_id or ""),
            "job_id": line.job_id,
            "meter": line.meter,
            "quantity": line.quantity,
            "gpu_hours": None if seconds is None else as_hours(seconds),
            "list_price": None if line.list_price is None else format(line.list_price.normalize(), "f"),
            "unit_price": None if line.unit_price is None else format(line.unit_price.normalize(), "f"),
            "list_amount": None if line.list_amount_micros is None else Money(line.list_amount_micros).format_amount(),
            "overage": line.overage,
            "grants": ", ".join(f"{grant['grant_id']} {grant['quantity']}" for grant in line.grants),
            "amount": Money(line.amount_micros).format_amount(),
            "currency": "CNY",
            "description": line.description,
        }
