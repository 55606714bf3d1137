import json

import pytest

from pricing.datasets.text_format import EncodedRow, TextFormat, TextRow, encode_row
from pricing.datasets.text_records import RowRefused, to_row
from pricing.datasets.text_rows import parse_text_files

CHAT = TextFormat("U:", "|A:", "|", before_system="S:", after_system="|U:", before_next_prompt="U:")


def encode(text):
    return [ord(character) for character in text]


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ({"prompt": " a ", "completion": "b\n"}, TextRow("a", "b")),
        ({"instruction": "Translate", "input": "tea", "output": "茶"}, TextRow("Translate\ntea", "茶")),
        ({"instruction": "Say hi", "input": "", "output": "hi"}, TextRow("Say hi", "hi")),
        (
            {"instruction": "c", "output": "d", "system": "s", "history": [["a", "b"]]},
            TextRow("c", "d", system="s", history=(("a", "b"),)),
        ),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            TextRow("a", "b"),
        ),
        (
            {
                "conversations": [
                    {"from": "system", "value": "s"},
                    {"from": "human", "value": "a"},
                    {"from": "gpt", "value": "b"},
                    {"from": "human", "value": "c"},
                    {"from": "gpt", "value": "d"},
                    {"from": "human", "value": "left without an answer"},
                ]
            },
            TextRow("c", "d", system="s", history=(("a", "b"),)),
        ),
        ({"text": "once upon a time"}, TextRow("", "once upon a time", is_plain=True)),
        ({"prompt": "a", "completion": "b", "messages": None, "text": "x"}, TextRow("a", "b")),
    ],
)
def test_every_form_becomes_a_row(record, row):
    assert to_row(record) == row


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"messages": []}, "list of objects"),
        ({"messages": "a"}, "list of objects"),
        ({"messages": ["a"]}, "object with role and content"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "role 'tool' is not known"),
        ({"messages": [{"role": "user", "content": 3}]}, "not text"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "is not known"),
        ({"messages": [{"role": "user", "content": "a"}]}, "take turns"),
        ({"messages": [{"role": "system", "content": "a"}]}, "take turns"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "take turns"),
        ({"instruction": "a"}, "output is needed"),
        ({"instruction": "a", "output": "b", "history": [["x"]]}, "list of pairs"),
        ({"instruction": "a", "output": " "}, "completion is empty"),
        ({"text": "  "}, "completion is empty"),
        ({"text": 5}, "text is needed"),
        ({"instruction": "a", "output": ["better", "worse"]}, "output is a list of texts, of which one"),
        ({"prompt": "a", "completion": ["better", "worse"]}, "completion is a list of texts, of which one"),
        ({"question": "a"}, "messages, conversations, or text"),
    ],
)
def test_what_is_no_row_is_told_why(record, message):
    with pytest.raises(RowRefused, match=message):
        to_row(record)


def test_earlier_answers_are_learnt_and_later_prompts_are_not():
    row = encode_row(TextRow("c", "d", system="s", history=(("a", "b"),)), CHAT, encode, max_length=100)
    assert row == EncodedRow(encode("S:s|U:a|A:b|U:c|A:d|"), prompt_length=10, unlearnt=((12, 18),))


@pytest.mark.parametrize(("max_length", "unlearnt"), [(12, ()), (15, ((12, 15),)), (18, ((12, 18),))])
def test_a_long_conversation_is_cut_at_its_end(max_length, unlearnt):
    row = encode_row(TextRow("c", "d", system="s", history=(("a", "b"),)), CHAT, encode, max_length=max_length)
    assert (len(row.token_ids), row.prompt_length, row.unlearnt) == (max_length, 10, unlearnt)


def test_a_plain_row_is_learnt_whole():
    assert encode_row(TextRow("", "ab", is_plain=True), CHAT, encode, max_length=9) == EncodedRow(encode("ab|"), 0)


def test_a_system_message_leads_the_prompt_where_the_template_has_no_place_for_it():
    assert "".join(text for text, _ in TextFormat("<", ">").lay_out(TextRow("p", "c", system="s"))) == "<s\n\np>c"


def test_a_json_file_is_one_list_of_rows():
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "c"}]
    parsed = parse_text_files([("alpaca.json", json.dumps(rows).encode())])
    assert parsed.rows == [TextRow("a", "b")]
    assert [(finding.line, finding.message) for finding in parsed.findings] == [(2, "output is needed, as text")]
    [finding] = parse_text_files([("one.json", b'{"prompt": "a"}')]).findings
    assert "one list of rows" in finding.message


def test_parquet_without_its_reader_is_told_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    [finding] = parse_text_files([("rows.parquet", b"PAR1")]).findings
    assert "pip install pyarrow" in finding.message


def test_parquet_rows_are_read_with_pyarrow(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["a", "b"], "completion": ["x", None]}), file)
    parsed = parse_text_files([("rows.parquet", file.read_bytes()), ("broken.parquet", b"PAR1")])
    assert parsed.rows == [TextRow("a", "x")]
    assert [finding.file for finding in parsed.findings] == ["broken.parquet", "rows.parquet"]
