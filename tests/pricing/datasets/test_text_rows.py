import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.datasets.text_rows import EncodedRow, TextFormat, TextRow, encode_row, parse_text_files

BARE = TextFormat(before_prompt="<", after_prompt=">", after_completion=".")


def parse(content, name="rows.jsonl"):
    return parse_text_files([(name, content if isinstance(content, bytes) else content.encode())])


def encode(text):
    return [ord(character) for character in text]


def test_jsonl_rows_are_read_and_stripped():
    parsed = parse('{"prompt": " Hi ", "completion": "你好\\n"}\n\n{"prompt": "", "completion": "x"}\r\n')
    assert parsed.rows == [TextRow("Hi", "你好"), TextRow("", "x")]
    assert parsed.findings == []


def test_csv_rows_are_read_with_quotes_and_line_breaks():
    parsed = parse('prompt,completion\n"a, b","line one\nline two"\nc,d\n', "rows.csv")
    assert parsed.rows == [TextRow("a, b", "line one\nline two"), TextRow("c", "d")]


@pytest.mark.parametrize("name", ["rows.jsonl", "ROWS.JSONL"])
def test_a_byte_order_mark_is_not_part_of_the_text(name):
    parsed = parse(b'\xef\xbb\xbf{"prompt": "a", "completion": "b"}', name)
    assert parsed.rows == [TextRow("a", "b")]


def test_a_byte_order_mark_does_not_hide_a_csv_column():
    assert parse(b"\xef\xbb\xbfprompt,completion\na,b\n", "rows.csv").rows == [TextRow("a", "b")]


def test_what_is_not_utf8_is_told_the_byte():
    parsed = parse('{"prompt": "甲", "completion": "乙"}'.encode("gbk"))
    assert parsed.rows == []
    [finding] = parsed.findings
    assert (finding.file, finding.line) == ("rows.jsonl", 1)
    assert "not UTF-8 (byte 12)" in finding.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"prompt": ' + "1" * 5000 + "}", "not JSON"),
        ('{"prompt": "a", "completion": "  "}', "completion is empty"),
        ('{"prompt": "a"}', "prompt and completion are both needed"),
        ('{"prompt": 1, "completion": "b"}', "prompt and completion are both needed"),
        ('{"prompt": "a", "completion": "\\ud83d"}', "surrogate"),
        ('["a", "b"]', "a row is an object"),
        ('"just text"', "a row is an object"),
    ],
)
def test_a_bad_line_is_found_and_the_others_are_kept(line, message):
    good = '{"prompt": "a", "completion": "b"}'
    parsed = parse(f"{good}\n{line}\n{good}\n")
    assert parsed.rows == [TextRow("a", "b")] * 2
    [finding] = parsed.findings
    assert finding.line == 2
    assert message in finding.message


def test_a_whole_surrogate_pair_is_a_character():
    assert parse('{"prompt": "a", "completion": "\\ud83d\\ude00"}').rows == [TextRow("a", "😀")]


def test_a_csv_without_the_columns_has_a_finding_for_each_row():
    parsed = parse("question,answer\na,b\nc,d\n", "rows.csv")
    assert [finding.line for finding in parsed.findings] == [2, 3]


def test_a_csv_row_that_is_too_short_is_found():
    parsed = parse("prompt,completion\nonly\na,b\n", "rows.csv")
    assert parsed.rows == [TextRow("a", "b")]
    assert [finding.line for finding in parsed.findings] == [2]


def test_a_csv_field_beyond_the_limit_is_a_finding_not_a_crash():
    parsed = parse("prompt,completion\na," + "x" * 200_000 + "\n", "rows.csv")
    assert "not CSV" in parsed.findings[0].message


def test_files_are_read_in_the_order_of_their_names_and_others_passed_over():
    row = '{{"prompt": "{0}", "completion": "{0}"}}'
    files = [("b.jsonl", row.format("b").encode()), ("notes.txt", b"x"), ("a.jsonl", row.format("a").encode())]
    assert [parsed.prompt for parsed in parse_text_files(files).rows] == ["a", "b"]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_rows_survive_json_lines(pairs):
    content = "\n".join(json.dumps({"prompt": p, "completion": c}) for p, c in pairs)
    parsed = parse(content)
    assert len(parsed.rows) + len(parsed.findings) == len(pairs)
    assert parsed.rows == [TextRow(p.strip(), c.strip()) for p, c in pairs if c.strip()]


def test_a_row_is_the_template_around_prompt_and_completion():
    row = encode_row(TextRow("ab", "cd"), BARE, encode, max_length=100)
    assert row == EncodedRow(encode("<ab>cd."), prompt_length=4)


@pytest.mark.parametrize(("max_length", "text", "prompt_length"), [(7, "<ab>cd.", 4), (5, "<ab>c", 4), (3, "<ab", 3)])
def test_a_long_row_is_cut_at_its_end(max_length, text, prompt_length):
    row = encode_row(TextRow("ab", "cd"), BARE, encode, max_length=max_length)
    assert row == EncodedRow(encode(text), prompt_length)
