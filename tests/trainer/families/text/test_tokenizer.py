"""The text around prompt and completion."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from pricing.datasets.text_rows import TextFormat, TextRow
from trainer.families.text.tokenizer import derive_text_format, list_messages

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)
DEFAULT_SYSTEM = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}" + CHATML
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set opening = '<<SYS>>\n' + "
    "messages[0]['content'] + '\n<</SYS>>\n\n' %}{% else %}{% set rest = messages %}{% set opening = '' %}{% endif %}"
    "{% for message in rest %}{% if message['role'] == 'user' %}<s>[INST] {% if loop.index0 == 0 %}{{ opening }}"
    "{% endif %}{{ message['content'] }} [/INST]{% else %} {{ message['content'] }} </s>{% endif %}{% endfor %}"
)


def test_a_folder_without_a_chat_template_ends_completions_with_its_end_token(tiny_model) -> None:
    assert derive_text_format(tiny_model) == TextFormat("", "\n", "<|end|>")


@pytest.fixture
def folder_with(tiny_model, tmp_path):
    """Make a model folder whose tokenizer has this chat template."""

    def make(chat_template: str) -> Path:
        (tmp_path / "tokenizer.json").write_bytes((tiny_model / "tokenizer.json").read_bytes())
        settings = json.loads((tiny_model / "tokenizer_config.json").read_text())
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": chat_template}))
        return tmp_path

    return make


def test_a_chat_template_is_written_out(folder_with) -> None:
    assert derive_text_format(folder_with(CHATML)) == TextFormat(
        before_prompt="<|im_start|>user\n",
        after_prompt="<|im_end|>\n<|im_start|>assistant\n",
        after_completion="<|im_end|>\n",
        before_system="<|im_start|>system\n",
        after_system="<|im_end|>\n<|im_start|>user\n",
        before_next_prompt="<|im_start|>user\n",
    )


def test_a_template_that_refuses_system_messages_has_no_place_for_one(folder_with) -> None:
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML
    text_format = derive_text_format(folder_with(refusing))
    assert (text_format.before_system, text_format.before_next_prompt) == (None, "<|im_start|>user\n")


CONVERSATIONS = [
    TextRow("Hi", "Hello."),
    TextRow("Hi", "Hello.", system="Be brief."),
    TextRow("And tea?", "Calm.", history=(("Hi", "Hello."), ("Well?", "Yes."))),
    TextRow("And tea?", "Calm.", system="Be brief.", history=(("Hi", "Hello."),)),
]


@pytest.mark.parametrize("row", CONVERSATIONS)
@pytest.mark.parametrize("template", [CHATML, DEFAULT_SYSTEM, LLAMA_2])
def test_the_written_out_format_is_the_template(folder_with, template, row) -> None:
    folder = folder_with(template)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "".join(piece for piece, _ in derive_text_format(folder).lay_out(row))
    assert text == tokenizer.apply_chat_template(list_messages(row), tokenize=False)


NO_SECOND_TURN = "{% if messages[2:] %}{{ raise_exception('one turn only') }}{% endif %}" + CHATML


def test_a_template_that_fails_for_later_turns_is_told_of_once(folder_with, capsys) -> None:
    folder = folder_with(NO_SECOND_TURN)
    for _ in range(2):
        assert derive_text_format(folder).before_next_prompt is None
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "later turns" in line] == [
        f"{folder}: its chat template cannot be written out for later turns; each is laid out like a first"
    ]


def test_a_template_that_takes_everything_is_not_talked_about(folder_with, capsys) -> None:
    derive_text_format(folder_with(LLAMA_2))
    assert capsys.readouterr().out == ""
