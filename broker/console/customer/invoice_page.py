"""An invoice: what it asks for line by line, what was used day by day, and its documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Annotated, Literal

from fastapi import Query
from fastapi.responses import HTMLResponse, Response

from broker.billing import service as billing
from broker.billing.reference import make_reference
from broker.billing.schemas import InvoiceLineOut, InvoiceOut, InvoiceWithLinesOut
from broker.clock import local_day
from broker.console.customer.billing_page import hand_over
from broker.console.frame.charts import Bars, Exact, place_bars
from broker.console.frame.page import CustomerPage, page_router
from broker.console.frame.panels import Panel
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.metering.reading.grouping import UsageFilter, Window
from broker.metering.reading.rollups import add_up_usage
from broker.work import Work
from pricing.usage import Usage

router = page_router("/billing/invoices")

MOST_DAYS = 62
MOST_LINES = 500
DocumentName = Literal["pdf", "csv", "xlsx", "evidence"]


@dataclass(frozen=True)
class InvoiceShown:
    """An invoice with its lines and with what its month used, day by day, in GPU-hours."""

    invoice: InvoiceOut
    lines: Sequence[InvoiceLineOut]
    borne: Sequence[InvoiceLineOut]
    days: Sequence[tuple[str, Usage]]
    bars: Bars | None
    terms: ContractTerms

    @property
    def left_out(self) -> int:
        return max(0, len(self.lines) - MOST_LINES)


@router.get("/{invoice_id}")
async def show_invoice(page: CustomerPage, invoice_id: str) -> HTMLResponse:
    """Show an invoice."""
    work = await page.begin()
    row = await billing.get_invoice(work, invoice_id)
    told = InvoiceWithLinesOut.with_lines(row, await billing.list_lines(work, row.id))
    terms = await contracts.get_contract(work, row.contract_id)
    days = [] if row.month is None else await read_days(work, terms, row.month)
    view = InvoiceShown(told, told.lines, told.borne, days, _draw(days), terms)
    reference = None if row.number is None else make_reference(row.number)
    return page.show("customer/invoice.html", box=Panel.ready(view, page.now), reference=reference, most=MOST_LINES)


async def read_days(work: Work, terms: ContractTerms, month: str) -> list[tuple[str, Usage]]:
    """Read what a billing month used on each of its days, also those without any, in the contract's time zone."""
    window = Window(terms.month_start(month), terms.month_end(month), terms.time_zone)
    chosen = UsageFilter(contract_id=terms.id)
    found = await add_up_usage(work, ["day"], window, chosen, limit=MOST_DAYS, cursor=None)
    told = {group.values[0]: group.usage for group in found.groups}
    first = terms.month_start(month) + timedelta(hours=12)
    count = (terms.month_end(month) - terms.month_start(month)).days
    names = [_name_day(terms, first + timedelta(days=number)) for number in range(count)]
    return [(name, told.get(name, Usage())) for name in names]


def _name_day(terms: ContractTerms, moment: datetime) -> str:
    return local_day(moment, terms.time_zone).isoformat()


def _draw(days: Sequence[tuple[str, Usage]]) -> Bars | None:
    if not any(usage.gpu_seconds for _day, usage in days):
        return None
    values: list[tuple[str, Exact]] = [(day[5:], Fraction(usage.gpu_seconds, 3600)) for day, usage in days]
    return place_bars(values, lambda hours: f"{float(Fraction(hours)):,.4g}")


@router.get("/{invoice_id}/file")
async def download_invoice(
    page: CustomerPage, invoice_id: str, kind: Annotated[DocumentName, Query(alias="format")] = "pdf"
) -> Response:
    """Download a document of an invoice, in the language of the page."""
    if kind == "evidence":
        return await hand_over(page, f"/v1/invoices/{invoice_id}/evidence", {}, f"{invoice_id}-evidence.json")
    params: dict[str, str] = {"format": kind, "language": page.preferences.language}
    return await hand_over(page, f"/v1/invoices/{invoice_id}", params, f"{invoice_id}.{kind}")
