"""The one reader of CSV: what Excel and people write, and a finding for each row that is broken."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.datasets.csv_file import BrokenRow, CsvFile, CsvRow, iter_csv, write_csv
from pricing.datasets.text_format import TextRow
from pricing.datasets.text_rows import parse_text_files

GOOD = "a{0},b{0}"


def read(text: str, **keys: str) -> tuple[list[list[str]], list[tuple[int, int]]]:
    """Read the rows, and the line and number of rows of each problem."""
    rows = list(CsvFile(text, **keys))
    problems = [(row.line, row.rows) for row in rows if isinstance(row, BrokenRow)]
    return [row.fields for row in rows if isinstance(row, CsvRow)], problems


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "\n\n", "sep={}\n"])
def test_any_delimiter_and_line_end_is_told_by_the_heading(end: str, delimiter: str, before: str) -> None:
    pairs = ["Prompt ", " completion"], ['"tea, hot; now"', "calm"], [], ['"say ""hi"""', '"one,two"'], ["", "", ""]
    table = "\n".join(delimiter.join(pair) for pair in pairs)
    records = list(iter_csv((before.format(delimiter) + table).replace("\n", end)))
    assert [row[1] for row in records if not isinstance(row, BrokenRow)] == [
        {"prompt": "tea, hot; now", "completion": "calm"},
        {"prompt": 'say "hi"', "completion": "one,two"},
    ]


def test_the_cure_of_a_row_with_too_many_fields_names_what_parts_them() -> None:
    (broken,) = [row for row in CsvFile("h1\th2\na\tb\tc\n") if isinstance(row, BrokenRow)]
    assert broken.message == "has more fields than the heading; put texts with tabs in quotes"


def test_a_field_of_any_length_loses_no_other_row() -> None:
    """Past fault: a field beyond 131,072 characters lost the rest of the file, 100 rows became 1."""
    rows = [f"a{number},b{number}" for number in range(100)]
    rows[1] = "a1," + "x" * 200_000
    parsed = parse_text_files([("rows.csv", ("prompt,completion\n" + "\n".join(rows)).encode())])
    assert (len(parsed.rows), parsed.findings) == (100, [])
    rows[1] = "a1," + "x" * ((1 << 24) + 1)
    parsed = parse_text_files([("rows.csv", ("prompt,completion\n" + "\n".join(rows)).encode())])
    assert (len(parsed.rows), [finding.line for finding in parsed.findings]) == (99, [3])


@pytest.mark.parametrize(
    ("broken", "lost"),
    [
        ("a.png,1girl, solo, long hair", 1),
        ("only", 1),
        ('a,"never closed', 1),
        ('a,"closed" and more', 1),
        ('a,"two\nlines" and more, or less', 1),
        ('a,"a quote\nwith, a line\nthat looks like a row" and more', 1),
        ("a,nul\0", 1),
        ("h1,h2", 1),
        ('"said "hi" to\nme, ok"', 2),
    ],
)
def test_a_broken_row_costs_itself_alone(broken: str, lost: int) -> None:
    good = [GOOD.format(number) for number in range(4)]
    rows, problems = read("\n".join(["h1,h2", *good[:2], broken, *good[2:]]))
    assert rows == [each.split(",") for each in good]
    assert problems == [(4, lost)]


def test_every_broken_row_is_a_finding_of_its_own() -> None:
    assert read("h1,h2\n,\na,b\n,\n  ,\n") == ([["", ""], ["a", "b"]], [])
    rows, problems = read("h1,h2\n" + 'x,"y\na,b\n' * 50)
    assert (len(rows), len(problems)) == (50, 50)


def test_lines_are_those_in_which_rows_begin() -> None:
    rows = list(CsvFile('h1,h2\n\n"two\nlines",b\n"three\n\nlines",c\nshort\n'))
    assert [row.line for row in rows] == [3, 5, 8]


def test_a_heading_that_cannot_be_used_tells_how_many_rows_are_lost() -> None:
    assert read("text,b,TEXT\n1,2,3\n\n4,5,6\n") == ([], [(1, 2)])
    assert read('a,"b\nc,d\ne,f\n') == ([], [(1, 2)])
    assert read("") == read("\n \n") == ([], [])


def test_a_column_without_a_name_is_left_out() -> None:
    assert list(iter_csv(",prompt,completion\n0,a,b\n")) == [(2, {"prompt": "a", "completion": "b"})]


def test_tabs_part_the_fields_of_a_tsv_where_it_has_one_column_too() -> None:
    parsed = parse_text_files([("r.tsv", b"prompt\tcompletion\na, b\t c\n"), ("t.tsv", b"text\nwith, comma\n")])
    assert parsed.rows == [TextRow("a, b", "c"), TextRow("", "with, comma", is_plain=True)]


def test_utf16_without_a_mark_is_told_by_its_zeros() -> None:
    for codec in ("utf-16-le", "utf-16-be"):
        parsed = parse_text_files([("rows.csv", "prompt,completion\r\ntea,calm 茶\r\n".encode(codec))])
        assert parsed.rows == [TextRow("tea", "calm 茶")]
        assert [finding.level for finding in parsed.findings] == ["hint"]


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.tuples(FIELD, FIELD), max_size=6))
def test_what_is_written_is_read_again(pairs: list[tuple[str, str]]) -> None:
    kept = [list(pair) if any(value.strip() for value in pair) else ["", ""] for pair in pairs]
    while kept and kept[-1] == ["", ""]:
        kept.pop()
    assert read(write_csv(["h1", "h2"], pairs)) == (kept, [])


@given(st.text(st.sampled_from('ab,;\t"\n\r '), max_size=60))
def test_whatever_is_written_no_row_vanishes_without_a_number(text: str) -> None:
    file = CsvFile(text)
    rows = list(file)
    lost = sum(row.rows for row in rows if isinstance(row, BrokenRow))
    assert all(len(row.fields) == len(file.heading) for row in rows if isinstance(row, CsvRow))
    lines = [line for line in io.StringIO(text, newline="") if not line.isspace()]
    assert lost <= len(lines)
    if '"' not in text and lost == sum(isinstance(row, BrokenRow) for row in rows):
        filled = [line for line in lines if line.strip(",;\t \n\r")]
        assert len(rows) >= len(filled) - 1
