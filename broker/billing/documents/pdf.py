"""A document as PDF/A-3b, with the evidence inside: the same bytes for one invoice and font, whenever it is made."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import typst

from broker.billing.documents.document import Document, DocumentLine
from broker.billing.documents.fonts import get_fonts
from pricing.money import Money

TEMPLATE = "invoice.typ"


def write_pdf(document: Document, evidence: bytes, *, seal: str, font_dir: Path | None) -> bytes:
    """Write the bytes of a document's PDF; its date is that of the invoice. Slow: some tenths of a second.

    Raises: FontMissing.
    """
    fonts = get_fonts(font_dir)
    files = {
        "main.typ": (resources.files("broker.billing.documents") / TEMPLATE).read_bytes(),
        "document.json": json.dumps(describe(document, seal), ensure_ascii=False).encode(),
        "evidence.json": evidence,
    }
    # Its types know of one input file alone.
    compile_files: Callable[..., bytes] = typst.compile
    return compile_files(
        files,
        font_paths=fonts,
        ignore_system_fonts=True,
        format="pdf",
        pdf_standards=["a-3b"],
        timestamp=int(document.issued_at.timestamp()),
    )


def describe(document: Document, seal: str) -> dict[str, Any]:
    """Describe a document as its template reads it: texts alone."""
    issuer = document.issuer.to_json()
    return {
        "language": document.language.value,
        "words": document.words,
        "number": document.number,
        "issuer": issuer | {"name": issuer["name"] or document.words["unnamed"]},
        "buyer": document.buyer,
        "facts": [list(fact) for fact in document.facts],
        "projects": [
            {"name": each.name, "amount": write_amount(each.amount), "lines": list(map(_describe_line, each.lines))}
            for each in document.projects
        ],
        "sums": _list_sums(document),
        "total": write_amount(document.total),
        "in_words": document.in_words,
        "is_due": document.total.micros > 0 and not document.is_void,
        "is_void": document.is_void,
        "due_on": document.due_on,
        "reference": " ".join(_split(document.reference)),
        "seal": " ".join(_split(seal, 8)),
    }


def _describe_line(line: DocumentLine) -> dict[str, str]:
    return {
        "position": str(line.position),
        "item": line.item,
        "note": line.note,
        "quantity": line.quantity,
        "unit": line.unit,
        "list_price": line.list_price,
        "price": line.price,
        "amount": write_amount(line.amount),
    }


def _list_sums(document: Document) -> list[list[str]]:
    words = document.words
    sums = [] if document.list_total is None else [[words["list_total"], write_amount(document.list_total)]]
    return [*sums, [words["net"], write_amount(document.net)], [document.tax_name, write_amount(document.tax)]]


def write_amount(amount: Money) -> str:
    """Write yuan with two places and commas, as finance reads them."""
    return f"{amount.to_decimal():,.2f}"


def _split(text: str, length: int = 4) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]
