"""Documents as bytes: a PDF of several pages with its evidence inside, a CSV, a workbook; each the same for ever."""

import csv
import io
import re
import zipfile
from pathlib import Path

import pypdfium2
import pytest

from broker import errors
from broker.billing.documents.document import make_document
from broker.billing.documents.fonts import explain_missing, find_fonts, get_fonts
from broker.billing.documents.pdf import write_pdf
from broker.billing.documents.service import DocumentFormat, DocumentSource, write_document
from broker.billing.documents.words import Language
from tests.broker.billing.documents.invoices import make_source

EVIDENCE = {"object": "invoice_evidence", "seal": "3f" * 32}
needs_font = pytest.mark.skipif(find_fonts(None) is None, reason="the package fonts-noto-cjk is not installed")


def read_pages(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    texts = []
    for page in document:
        text = page.get_textpage()
        texts.append(text.get_text_bounded())
        text.close()
        page.close()
    document.close()
    return texts


def read_attachment(pdf: bytes) -> tuple[str, bytes]:
    document = pypdfium2.PdfDocument(pdf)
    found = document.get_attachment(0)
    name, content = found.get_name(), bytes(found.get_data())
    document.close()
    return name, content


def write(as_format: DocumentFormat, language: Language = Language.ZH) -> bytes:
    return write_document(DocumentSource(make_source(), EVIDENCE), as_format, language, None)


@needs_font
def test_a_pdf_says_all_of_the_invoice_over_several_pages_with_its_evidence_inside() -> None:
    pdf = write(DocumentFormat.PDF)
    pages = read_pages(pdf)
    assert len(pages) >= 3
    for number, page in enumerate(pages, start=1):
        assert "合同价" in page or number == len(pages)
        assert f"第 {number} 页，共 {len(pages)} 页" in page
    whole = re.sub(r"\s+", "", "".join(pages))
    told = ("账单", "苏州青茶文化有限公司", "INV-2026-000017", "91110000600037341L", "RF50INV2026000017", "品牌视觉")
    assert [each for each in told if each not in whole] == []
    assert "4,945.96" in pages[-1]  # 40 × 120.00 − 134.00 and 6 % of it
    assert "肆仟玖佰肆拾伍元玖角陆分" in pages[-1]
    name, content = read_attachment(pdf)
    assert name == "INV-2026-000017.evidence.json"
    assert b'"invoice_evidence"' in content
    assert b"pdfaid:part>3<" in pdf.replace(b"\n", b"")
    assert write(DocumentFormat.PDF) == pdf


@needs_font
def test_a_credit_in_english_asks_for_no_payment() -> None:
    source = make_source(jobs=1)
    source.invoice.total_micros, source.invoice.tax_micros = -5_000_000, 0
    pdf = write_pdf(make_document(source, Language.EN), b"{}", seal="00", font_dir=None)
    (page,) = read_pages(pdf)
    assert "Nothing is to be paid for this invoice." in page
    assert "Payment reference" not in page


def test_without_its_font_there_is_a_word(tmp_path: Path) -> None:
    with pytest.raises(errors.FontMissing, match="fonts-noto-cjk"):
        get_fonts(tmp_path)
    assert "fonts-noto-cjk" in (explain_missing(tmp_path) or "")
    (tmp_path / "NotoSansCJK-Regular.ttc").touch()
    assert explain_missing(tmp_path) is None


def test_a_csv_adds_up_and_has_no_formula() -> None:
    content = write(DocumentFormat.CSV)
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert sum(round(float(row["amount"]) * 100) for row in rows) == 494_596
    assert {row["purchase_order"] for row in rows} == {"'=PO(7781)"}
    assert (rows[0]["list_amount"], rows[0]["grants"], rows[0]["gpu_hours"]) == ("204.00", "gra_1 104400", "30.0000")


def test_a_workbook_has_numbers_for_amounts_and_no_formula() -> None:
    content = write(DocumentFormat.XLSX)
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        texts = book.read("xl/sharedStrings.xml").decode()
    assert "<f>" not in sheet
    assert "=PO(7781)" in texts
    assert re.search(r'<c r="R2" s="\d+"><v>120.00</v></c>', sheet)
    assert write(DocumentFormat.XLSX) == content


@needs_font
@pytest.mark.parametrize(("language", "word"), [(Language.ZH, "作废"), (Language.EN, "VOID")])
def test_a_void_invoice_says_so_on_every_page_and_asks_for_nothing(language: Language, word: str) -> None:
    source = make_source()
    as_sent = make_document(source, language)
    source.invoice.status = "void"
    sent, void = [
        read_pages(write_pdf(document, b"{}", seal="00", font_dir=None))
        for document in (as_sent, make_document(source, language))
    ]
    assert [word in page for page in void] == [True] * len(sent)
    assert [page for page in sent if word in page] == []
    assert "RF50" in sent[-1]
    assert "RF50" not in void[-1]
