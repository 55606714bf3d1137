"""Keys that change what a row means are honoured, or refused by name: none of them is passed over."""

import json

import pytest

from pricing.datasets.telling_keys import RowRefused, RowSetAside
from pricing.datasets.text_format import EncodedRow, TextFormat, TextRow, encode_row
from pricing.datasets.text_records import to_row
from pricing.datasets.text_rows import parse_text_files

PAIR = {"prompt": "a", "completion": "b"}
CHAT = TextFormat("U:", "|A:", "|", before_next_prompt="U:")
TALK = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d"},
]


def talk(**turn: object) -> dict[str, object]:
    """Make a conversation of two answers, the first of them with further keys."""
    return {"messages": [TALK[0], TALK[1] | turn, *TALK[2:]]}


@pytest.mark.parametrize(
    ("record", "named"),
    [
        (PAIR | {"label": False}, "label: false"),
        ({"messages": TALK, "label": False}, "label: false"),
        ({"text": "x", "label": False}, "label: false"),
        (PAIR | {"label": "False"}, "label: false"),
        (PAIR | {"label": "0"}, "label: false"),
        (PAIR | {"kto_tag": False}, "kto_tag: false"),
        (PAIR | {"completion_label": 0}, "completion_label: false"),
        (PAIR | {"label": "sport"}, "label does not say"),
        ({"conversations": TALK[:1], "chosen": TALK[1], "rejected": TALK[3]}, r"(chosen|rejected) belongs to a pair"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, r"(chosen|rejected) belongs to a pair"),
        ({"messages": TALK, "rejected_response": "x"}, "rejected_response belongs to a pair"),
        (PAIR | {"chosen": False}, "chosen: false says that the answer is a bad one"),
        ({"messages": TALK, "rejected": True}, "rejected: true says that the answer is a bad one"),
        (PAIR | {"score": 0.2}, "score grades the answer"),
        ({"messages": TALK, "reward": -1}, "reward grades the answer.*leave out the rows that are not good enough"),
        (PAIR | {"rating": "2"}, "rating grades the answer"),
        (PAIR | {"rating": {"helpful": 1}}, "rating grades the answer"),
        (PAIR | {"feedback": 3}, "feedback grades the answer"),
        (PAIR | {"reward": False}, "reward: false says that the answer is a bad one"),
        (PAIR | {"is_good": 0}, "is_good: 0 says that the answer is a bad one"),
        (PAIR | {"thumbs": -1}, "thumbs: -1 says that the answer is a bad one"),
        (PAIR | {"feedback": "Thumbs_down"}, "feedback: 'Thumbs_down' says that the answer is a bad one"),
        (PAIR | {"is_rejected": "true"}, "is_rejected: 'true' says that the answer is a bad one"),
        ({"text": "x", "is_correct": False}, "is_correct: false says that the answer is a bad one"),
        (talk(score=1), "score grades the answer"),
        (talk(review_result=False), "review_result: false says that the answer is a bad one"),
        (PAIR | {"skip": "twice"}, "skip says neither true nor false.*'twice'.*write true to leave it out"),
        ({"messages": [TALK[0] | {"masked": False}, TALK[1]]}, "masked says that a message of user is to be learnt"),
        ({"input": {}, "preferred_output": TALK, "non_preferred_output": TALK}, "preferred_output belongs to a pair"),
        ({"messages": TALK, "tools": [{"type": "function"}]}, "tools belongs to calls of functions"),
        ({"messages": TALK, "tools": '[{"name": "f"}]'}, "tools belongs to calls of functions"),
        (talk(function_call={"name": "f"}), "function_call belongs to calls of functions"),
        (talk(tool_calls=[{"id": 1}]), "tool_calls belongs to calls of functions"),
        ({"messages": TALK, "images": ["a.png"]}, "images belongs to pictures"),
        (PAIR | {"loss_mask": [1, 0]}, "loss_mask says token by token"),
        (PAIR | {"mask": 1}, "mask says token by token"),
        (PAIR | {"labels": [-100, 5]}, "labels says token by token"),
        (talk(train_detail=[{"begin_offset": 0}]), "train_detail says token by token"),
        (talk(reasoning_content="hm"), "reasoning_content is what the model thinks"),
        (PAIR | {"weight": 0.5}, r"weight is neither 0 nor 1.*'0.5'.*write 1 to learn it as the others, or 0"),
        (talk(weight=2), "weight is neither 0 nor 1"),
        (PAIR | {"loss": 2.31}, "loss is neither 0 nor 1"),
        (PAIR | {"train": "validation"}, "train is neither 0 nor 1"),
        ({"messages": [TALK[0] | {"weight": 1}, TALK[1]]}, "weight says that a message of user is to be learnt"),
        ({"messages": [TALK[0] | {"loss": True}, TALK[1]]}, "loss says that a message of user is to be learnt"),
        (PAIR | {"input": "x"}, "input has no place"),
        ({"instruction": "a", "output": "b", "context": "x"}, "context has no place"),
        ({"messages": TALK, "history": [["a", "b"]]}, "history has no place"),
        ({"text": "x", "history": [["a", "b"]]}, "history has no place"),
        (PAIR | {"system": "a", "system_prompt": "b"}, "both system and system_prompt"),
        ({"messages": [{"role": "system", "content": "a"}, *TALK], "system": "b"}, "a system message in its turns"),
        ({"messages": TALK, "conversations": TALK[:2]}, "both messages and conversations"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, TALK[1]]},
            "a part of type 'image_url'",
        ),
        ({"messages": [{"role": "user", "content": [3]}, TALK[1]]}, "a part that is not text"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(record, named) -> None:
    with pytest.raises(RowRefused, match=named):
        to_row(record)


@pytest.mark.parametrize(
    "keys",
    [
        *({"label": True}, {"label": "true"}, {"label": 1}, {"kto_tag": True}, {"weight": 1}, {"weight": "1.0"}),
        *({"loss": True}, {"train": None}, {"weight": ""}, {"tools": []}, {"tools": "[]"}, {"tools": ""}),
        *({"images": None}, {"images": []}, {"chosen": None, "rejected": None}, {"mask": None}, {"id": 7}),
        *({"chosen": True}, {"rejected": 0}, {"score": None}, {"score": float("nan")}, {"reward": ""}, {"good": True}),
        *({"skip": False}, {"deleted": "false"}, {"masked": 0}, {"split": "train_sft"}, {"split": "en"}, {"split": 3}),
        *({"weight": float("nan")}, {"loss": "nan"}, {"skip": float("nan")}, {"ignore": []}, {"kto_tag": float("nan")}),
        *({"correct": "the other text"}, {"feedback": "too short"}, {"bad": False}, {"valid": "2026-01-01"}),
    ],
)
def test_what_says_nothing_else_leaves_the_row_as_it_is(keys) -> None:
    assert to_row(PAIR | keys) == TextRow("a", "b")
    assert to_row({"messages": TALK[:2]} | keys) == TextRow("a", "b")


@pytest.mark.parametrize("key", ["weight", "loss", "train", "loss_mask", "sample_weight"])
@pytest.mark.parametrize("value", [0, False, "0", "false", 0.0])
def test_a_row_that_is_not_to_be_learnt_is_set_aside(key, value) -> None:
    for record in (PAIR, {"text": "x"}, {"messages": TALK}, {"instruction": "a", "output": "b"}):
        with pytest.raises(RowSetAside, match=key):
            to_row(record | {key: value})


@pytest.mark.parametrize(
    "keys",
    [
        *({"skip": True}, {"ignore": 1}, {"exclude": "yes"}, {"masked": True}, {"deleted": "true"}, {"is_test": True}),
        *({"split": "test"}, {"split": "validation"}, {"split": "Test_sft"}, {"partition": "dev"}),
        {"weight": 0, "tools": [{"type": "function"}]},
    ],
)
def test_a_row_that_says_to_leave_it_out_is_set_aside(keys) -> None:
    """Past fault: `skip: true` was not read, and the row learnt."""
    for record in (PAIR, {"text": "x"}, {"messages": TALK}, {"instruction": "a", "output": "b"}):
        with pytest.raises(RowSetAside, match=next(iter(keys))):
            to_row(record | keys)


def test_a_number_grades_no_plain_text() -> None:
    """A crawl keeps how well its filter likes each page; there is no answer that it could call a bad one."""
    assert to_row({"text": "x", "score": 2.7, "label": 3, "rank": "4"}) == TextRow("", "x", is_plain=True)


@pytest.mark.parametrize(
    "turn", [{"skip": True}, {"masked": True}, {"weight": 0}, {"loss": False}, {"train": False}, {"training": "false"}]
)
def test_an_answer_that_is_not_to_be_learnt_is_context(turn) -> None:
    row = to_row(talk(**turn))
    assert row == TextRow("c", "d", history=(("a", "b"),), context_answers=frozenset({0}))
    encoded = encode_row(row, CHAT, lambda text: [ord(each) for each in text], max_length=99)
    assert encoded == EncodedRow([ord(each) for each in "U:a|A:b|U:c|A:d|"], prompt_length=14)


def test_what_follows_the_last_answer_to_learn_is_left_out() -> None:
    assert to_row({"messages": [*TALK[:3], TALK[3] | {"weight": 0}]}) == TextRow("a", "b")
    with pytest.raises(RowSetAside):
        to_row({"messages": [TALK[0], TALK[1] | {"weight": 0}]})


def test_context_between_answers_carries_no_loss() -> None:
    turns = [*TALK, {"role": "user", "content": "e"}, {"role": "assistant", "content": "f"}]
    turns[3] = turns[3] | {"weight": 0}
    row = encode_row(to_row({"messages": turns}), CHAT, lambda text: list(text.encode()), max_length=99)
    text = bytes(row.token_ids).decode()
    assert text == "U:a|A:b|U:c|A:d|U:e|A:f|"
    assert [text[start:end] for start, end in row.unlearnt] == ["U:c|A:d|U:e|A:"]
    assert text[: row.prompt_length] == "U:a|A:"


def test_content_as_a_list_of_text_parts_is_read() -> None:
    """Past fault: 550 rows of public demos, in OpenAI's own form, were refused."""
    parts = [{"type": "text", "text": "te"}, {"type": "text", "text": "a?"}]
    expected = TextRow("tea?", "calm")
    turns = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": [{"type": "output_text", "text": "calm"}]},
    ]
    assert to_row({"messages": turns}) == expected
    assert (
        to_row({"conversations": [{"from": "human", "value": parts}, {"from": "gpt", "value": ["calm"]}]}) == expected
    )
    assert to_row({"prompt": parts, "completion": "calm"}) == expected
    assert to_row({"prompt": turns[:1], "completion": turns[1:]}) == expected


def test_only_the_messages_of_a_completion_are_learnt() -> None:
    row = to_row({"prompt": TALK[:3], "completion": TALK[3:]})
    assert row == TextRow("c", "d", history=(("a", "b"),), context_answers=frozenset({0}))


def test_history_and_system_count_in_every_form_that_has_them() -> None:
    row = TextRow("c", "d", system="s", history=(("a", "b"),))
    for names in (("prompt", "completion"), ("instruction", "output")):
        record = dict(zip(names, "cd", strict=True))
        assert to_row(record | {"system": "s", "history": [["a", "b"]]}) == row
        assert to_row(record | {"system_prompt": "s", "history": [["a", "b"]]}) == row
    assert to_row({"messages": TALK, "system": "s"}) == row
    assert to_row({"messages": [{"role": "developer", "content": "s"}, *TALK]}) == row


def test_every_row_of_a_file_is_counted_by_what_became_of_it() -> None:
    """Past fault: of the 300 rows of a KTO set the 150 bad answers were learnt as good ones."""
    rows = [{"messages": TALK[:2], "label": number % 2 == 0} for number in range(300)]
    rows += [PAIR | {"weight": 0}, PAIR | {"weight": 0.5}, PAIR | {"weight": 0.7}, {"prompt": "a"}]
    lines = [*map(json.dumps, rows), "{", '{"prompt"']
    parsed = parse_text_files([("kto.jsonl", "\n".join(lines).encode()), ("one.csv", b"prompt,completion\na,b,c\n")])
    counts = parsed.counts
    assert (counts.read, counts.used, counts.refused_rows, counts.set_aside) == (307, 150, 156, 1)
    assert [each.rows for each in counts.refused] == [150, 2, 2, 1, 1]
    line = counts.with_lengths(too_long=3, cut=8).describe()
    assert line.startswith("307 rows read: 147 used, 156 refused (150: label: false says that the answer is a bad one")
    assert line.endswith("), 1 set aside, 3 too long, 8 cut")
