"""Documents of final invoices: what they are made of is read in a transaction, and written outside of it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from broker import errors
from broker.billing.documents.document import Period, Source, make_document
from broker.billing.documents.pdf import write_pdf
from broker.billing.documents.spreadsheet import COLUMNS, WRITTEN_OUTSIDE, list_rows
from broker.billing.documents.words import Language
from broker.billing.documents.workbook import WORKBOOK, write_workbook
from broker.billing.evidence import read_evidence, write_evidence
from broker.billing.model import InvoiceStatus
from broker.billing.parties import Buyer, Issuer
from broker.billing.service import get_invoice, list_lines
from broker.billing.tables import Invoice
from broker.contracts import service as contracts
from broker.http import csv_table
from broker.identity import service as identity
from broker.work import Work

__all__ = ["MEDIA_TYPES", "WORKBOOK", "DocumentFormat", "choose_format", "read_document", "write_document"]


class DocumentFormat(StrEnum):
    PDF = "pdf"
    CSV = "csv"
    XLSX = "xlsx"


MEDIA_TYPES = {
    DocumentFormat.PDF: "application/pdf",
    DocumentFormat.CSV: csv_table.MEDIA_TYPE,
    DocumentFormat.XLSX: WORKBOOK,
}


def choose_format(accept: str) -> str:
    """Choose the format by what a client accepts: the first media type that is one of a document, else JSON."""
    types = {media_type.partition(";")[0]: each.value for each, media_type in MEDIA_TYPES.items()}
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((types.get(each, "json") for each in wanted if each in types or each == "application/json"), "json")


@dataclass(frozen=True)
class DocumentSource:
    """All that a document is made of; a PDF has the evidence, too."""

    source: Source
    evidence: dict[str, Any] | None

    @property
    def number(self) -> str:
        assert self.source.invoice.number is not None, "it is final"
        return self.source.invoice.number


async def read_document(work: Work, invoice_id: str, as_format: DocumentFormat) -> DocumentSource:
    """Read what the document of a final invoice is made of. Raises: NotFound, IllegalTransition."""
    invoice = await get_invoice(work, invoice_id)
    if invoice.status == InvoiceStatus.DRAFT:
        raise errors.IllegalTransition(
            f"Invoice {invoice.id} is a draft, and may still change; it has documents once it is finalized.",
            status_before=invoice.status,
        )
    lines = await list_lines(work, invoice.id)
    names = await identity.list_project_names(work, {line.project_id for line in lines if line.project_id is not None})
    issuer, buyer = await _read_parties(work, invoice)
    source = Source(invoice, lines, issuer, buyer, await _read_period(work, invoice), names)
    return DocumentSource(source, await read_evidence(work, invoice_id) if as_format == DocumentFormat.PDF else None)


async def _read_parties(work: Work, invoice: Invoice) -> tuple[Issuer, str]:
    """Read who issued an invoice and to whom; one of before 0.2 does not say, and has those of today."""
    if invoice.issuer is not None and invoice.buyer is not None:
        return Issuer.read(invoice.issuer), Buyer(**invoice.buyer).name
    customer = await identity.get_customer(work, invoice.customer_id)
    return Issuer.of(work.settings), customer.name


async def _read_period(work: Work, invoice: Invoice) -> Period:
    terms = await contracts.get_contract(work, invoice.contract_id)
    if invoice.month is None:
        return Period(terms.time_zone)
    return Period(terms.time_zone, terms.month_start(invoice.month), terms.month_end(invoice.month))


def write_document(
    made_of: DocumentSource, as_format: DocumentFormat, language: Language, font_dir: Path | None
) -> bytes:
    """Write the bytes of a document. Slow. Raises: FontMissing."""
    source = made_of.source
    if as_format == DocumentFormat.CSV:
        return csv_table.write_table(COLUMNS, list_rows(source), names=WRITTEN_OUTSIDE)
    if as_format == DocumentFormat.XLSX:
        assert source.invoice.finalized_at is not None, "it is final"
        return write_workbook(made_of.number, COLUMNS, list_rows(source), made_at=source.invoice.finalized_at)
    assert made_of.evidence is not None, "a PDF is made of it, too"
    evidence = write_evidence(made_of.evidence)
    return write_pdf(make_document(source, language), evidence, seal=made_of.evidence["seal"], font_dir=font_dir)
