import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.datasets.text_rows import (
    EncodedRow,
    TextFormat,
    TextRow,
    TooManyRows,
    encode_row,
    iter_text_files,
    parse_text_files,
)

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


def test_what_is_in_no_encoding_that_can_be_told_is_told_the_byte():
    parsed = parse('{"prompt": "crème", "completion": "brûlée"}'.encode("latin-1"))
    assert parsed.rows == []
    [finding] = parsed.findings
    assert (finding.file, finding.line) == ("rows.jsonl", 1)
    assert "not UTF-8 (byte 14), nor GBK" in finding.message


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
@pytest.mark.parametrize("codec", ["gbk", "utf-16"])
def test_files_of_windows_are_read_and_a_guess_is_told(name, codec):
    """A file that Chinese Windows wrote in GBK was refused whole."""
    text = {
        "rows.jsonl": '{"prompt": "甲", "completion": "乙"}',
        "rows.json": '[{"prompt": "甲", "completion": "乙"}]',
        "rows.csv": "prompt,completion\r\n甲,乙\r\n",
    }[name]
    parsed = parse(text.encode(codec), name)
    assert parsed.rows == [TextRow("甲", "乙")]
    assert [finding.level for finding in parsed.findings] == (["hint"] if codec == "gbk" else [])
    assert parsed.errors == []


def test_rows_are_read_only_up_to_the_limit():
    content = b'{"prompt": "a", "completion": "b"}\n' * 3
    assert len(list(iter_text_files([("rows.jsonl", content)], max_rows=3))) == 3
    for refused in (content + b"x", content[:-1] * 3, b"\n" * 100):
        with pytest.raises(TooManyRows, match="more than 3 rows"):
            list(iter_text_files([("rows.jsonl", refused)], max_rows=3))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_lines_are_numbered_as_an_editor_numbers_them(name):
    rows = ['{"prompt": "a", "completion": "b"}', "1", "  ", "2"]
    content = "\n\n".join(rows) if name == "rows.jsonl" else "[" + ",".join(row for row in rows if row.strip()) + "]"
    assert [finding.line for finding in parse(content, name).findings] == ([3, 7] if name == "rows.jsonl" else [2, 3])


@pytest.mark.parametrize(
    ("content", "rows", "message"),
    [
        (
            '[{"prompt": "a", "completion": "b"}, {"prompt": ',
            1,
            "line 1 of the file; the rest of line 1 is not read",
        ),
        (
            '[\n{"prompt": "a", "completion": "b"},\n{\n"prompt"}\n]',
            1,
            "line 4 of the file; the lines 3 to 5 are",
        ),
        ('[{"prompt": "a", "completion": "b"} {"prompt": "c"}]', 0, "a comma or ] is missing"),
        ('[{"prompt": "a", "completion": "b"}]\n[{"prompt": "c"}]', 1, "more after the list"),
        ("[" * 100_000, 0, "not JSON"),
        ("[]", 0, ""),
    ],
)
def test_list_is_read_up_to_where_it_breaks(content, rows, message):
    parsed = parse(content, "rows.json")
    assert len(parsed.rows) == rows
    assert [message in finding.message for finding in parsed.findings] == ([True] if message else [])


def test_long_row_of_a_list_is_read_whole():
    rows = [{"prompt": "a", "completion": "b" * 200_000}, {"prompt": "a", "completion": "c"}]
    assert [len(row.completion) for row in parse(json.dumps(rows), "rows.json").rows] == [200_000, 1]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_row_of_more_characters_than_anyone_writes_is_refused_unread(name):
    """Two characters of JSON become sixty bytes: a line of lists took gigabytes."""
    row = '{"prompt": "a", "completion": "' + "b" * (1 << 24) + '"}'
    (finding,) = parse(row if name == "rows.jsonl" else f"[{row}]" + " " * (1 << 24), name).findings
    assert "has more than 16777216 characters; split it" in finding.message


def test_comma_that_is_not_in_quotes_loses_no_text_in_silence():
    """`a,b, c` was trained as `a` and `b`."""
    parsed = parse("prompt,completion\na,b, c\nd,e,\n", "rows.csv")
    assert parsed.rows == [TextRow("d", "e")]
    assert [(finding.line, finding.level) for finding in parsed.findings] == [(2, "error")]


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


def test_a_csv_with_two_columns_of_one_name_is_an_error():
    """The first of the two was dropped in silence."""
    parsed = parse("prompt,completion,prompt\na,b,c\n", "rows.csv")
    assert parsed.rows == []
    [finding] = parsed.errors
    assert (finding.line, "prompt more than once" in finding.message) == (1, True)


def test_quotes_as_spreadsheets_write_them_are_read():
    parsed = parse('prompt,completion\n"say ""hi"", now",5" and more\n"two\nlines",b\n', "rows.csv")
    assert parsed.rows == [TextRow('say "hi", now', '5" and more'), TextRow("two\nlines", "b")]


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


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_key_that_is_written_twice_costs_its_row_alone(name):
    good = '{"prompt": "a", "completion": "b"}'
    rows = ['{"prompt": "a", "completion": "b", "prompt": "c"}', good]
    rows += [
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "content": "c"}]}',
        good,
    ]
    parsed = parse("\n".join(rows) if name == "rows.jsonl" else f"[{','.join(rows)}]", name)
    assert parsed.rows == [TextRow("a", "b")] * 2
    assert [found.line for found in parsed.findings] == [1, 3]
    assert "a key is written twice" in parsed.findings[0].message


def test_a_list_in_name_only_tells_how_many_rows_are_lost():
    row = '{"prompt": "a", "completion": "b"}\n'
    assert parse(row * 7, "rows.json").counts.refused_rows == 7
