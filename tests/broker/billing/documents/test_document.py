"""What documents say: facts, lines by project and job, sums, capitals, references. Pure."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.billing.documents.document import make_document, write_capitals, write_quantity
from broker.billing.documents.service import choose_format
from broker.billing.documents.words import CAUSES, KINDS, WORDS, Language, name_cause
from broker.billing.model import LineKind
from broker.billing.reference import is_reference, make_reference
from broker.ledger.books.causes import OUR_DOING, Cause
from pricing.money import Money
from tests.broker.billing.documents.invoices import make_source

# Three words of Latin letters, which are no name, unit or code.
SENTENCE = re.compile(r"[A-Za-z]{2,}(?: [A-Za-z]{2,}){2,}")


def test_lines_are_told_by_project_and_job_and_add_up_to_the_net_amount() -> None:
    document = make_document(make_source(jobs=3), Language.EN)
    told = {project.name: [line.position for line in project.lines] for project in document.projects}
    assert told == {"brand-tone": [1, 4, 3], "品牌视觉": [2], "No project": [6, 9, 5], "Of the whole contract": [7, 8]}
    assert sum((project.amount for project in document.projects), Money.zero()) == document.net
    assert document.net + document.tax == document.total
    assert document.list_total == Money.from_decimal("612.00")


def test_the_facts_are_those_that_finance_looks_for() -> None:
    facts = dict(make_document(make_source(jobs=1), Language.ZH).facts)
    assert facts["账单编号"] == "INV-2026-000017"
    assert facts["计费周期"] == "2026-11-01 – 2026-11-30 (Asia/Shanghai)"
    assert facts["出账日期"] == "2026-12-01"
    assert facts["付款截止日"] == "2026-12-31"
    assert facts["合同编号"] == "HT-2026-017"


def test_a_line_tells_what_it_is_of_in_the_language_of_the_document() -> None:
    documents = {language: make_document(make_source(1), language) for language in Language}
    notes = {
        language: {line.item: line.note for project in document.projects for line in project.lines}
        for language, document in documents.items()
    }
    assert notes[Language.ZH]["GPU 小时"] == "作业 job_01 · 资源包 gra_1 · 其中超出资源包 1.0000"
    assert notes[Language.EN]["Tokens (correction of an earlier month)"] == "Job job_01 · of 2026-10"
    assert notes[Language.ZH]["训练 Token（平台承担，不计费）"] == "作业 job_02 · 机器故障"
    assert notes[Language.EN]["True-up of the commitment"] == "not used 1.0000 GPU-hour"


def test_no_english_sentence_is_left_in_a_chinese_document() -> None:
    document = make_document(make_source(3), Language.ZH)
    lines = [line for project in document.projects for line in project.lines]
    told = [*document.words.values(), *(f"{name} {value}" for name, value in document.facts)]
    told += [f"{line.item} {line.note} {line.unit}" for line in lines]
    told += [name_cause(cause.value, Language.ZH) for cause in Cause]
    commands = {"broker invoices verify"}
    assert {found for text in told for found in SENTENCE.findall(text)} <= commands


def test_every_kind_of_line_and_every_word_is_said_in_both_languages() -> None:
    assert set(KINDS) == set(LineKind)
    assert all(chinese and english for chinese, english in [*WORDS.values(), *KINDS.values()])
    assert name_cause("of_another_release", Language.ZH) == "of_another_release"


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("4200.00", "肆仟贰佰元整"),
        ("10.05", "壹拾元零伍分"),
        ("1234567.89", "壹佰贰拾叁万肆仟伍佰陆拾柒元捌角玖分"),
        ("0.07", "柒分"),
        ("-5.20", "负伍元贰角"),
    ],
)
def test_amounts_are_written_in_capitals(amount: str, written: str) -> None:
    assert write_capitals(Money.from_decimal(amount)) == written


def test_quantities_have_commas() -> None:
    assert write_quantity(1_234_567, in_hours=False) == "1,234,567"
    assert write_quantity(3600 * 2500 + 1, in_hours=True) == "2,500.0003"


@given(st.integers(min_value=1, max_value=999_999), st.integers(0, 20), st.integers(1, 9))
def test_a_slip_of_the_pen_in_a_reference_is_found(number: int, place: int, change: int) -> None:
    reference = make_reference(f"INV-2026-{number:06d}")
    assert is_reference(reference)
    assert is_reference(f" {reference[:4]} {reference[4:]} ")
    index = place % len(reference)
    if reference[index].isdigit():
        slip = f"{reference[:index]}{(int(reference[index]) + change) % 10}{reference[index + 1 :]}"
        assert not is_reference(slip)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "json"),
        ("application/pdf", "pdf"),
        ("text/csv;q=0.9, application/json", "csv"),
        ("application/json, application/pdf", "json"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
        ("image/png", "json"),
    ],
)
def test_the_format_is_what_a_client_accepts_first(accept: str, chosen: str) -> None:
    assert choose_format(accept) == chosen


def test_every_cause_for_which_the_house_bears_work_has_words() -> None:
    """One that a release adds would stand on an invoice as the program writes it."""
    assert (OUR_DOING | {Cause.CHECKPOINT_LOST, Cause.OVER_PROMISE}) == CAUSES.keys()
