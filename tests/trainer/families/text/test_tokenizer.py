"""The text around prompt and completion."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pricing.datasets.text_rows import TextFormat, TextRow, encode_row
from trainer.commands.make_tiny_llama import write_byte_tokenizer
from trainer.families.text.tokenizer import TextTokenizer, derive_text_format, list_messages

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


LLAMA_3 = (
    "{{ bos_token }}{% if strftime_now is defined %}{% set day = strftime_now('%d %b %Y') %}{% else %}"
    "{% set day = '1 Jan 2000' %}{% endif %}Today: {{ day }}\n{% for message in messages %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}{% endfor %}"
)


def test_a_template_that_writes_the_day_writes_the_same_one_every_day(folder_with) -> None:
    """Past fault: the tokens were others on the next day, and `resume: auto` failed."""
    text_format = derive_text_format(folder_with(LLAMA_3))
    assert "Today: 26 Jul 2024" in text_format.before_prompt


@pytest.fixture
def bos_folder(tmp_path):
    """Make a folder whose tokenizer begins every text with `<s>`, as LLaMA's does."""

    def make(template=None):
        write_byte_tokenizer(tmp_path)
        tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        tokenizer.add_special_tokens(["<s>"])
        bos = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", bos)]
        )
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<|end|>")
        fast.chat_template = template
        fast.save_pretrained(tmp_path)
        return TextTokenizer(tokenizer, derive_text_format(tmp_path)), fast

    return make


@pytest.mark.parametrize("text", ["tea", "<s>tea"])
def test_what_transformers_puts_first_is_put_first_and_once(bos_folder, text) -> None:
    """Past fault: folders without a chat template trained without the BOS that all readers put first."""
    tokenizer, fast = bos_folder()
    theirs = fast("tea")["input_ids"]
    assert theirs[0] == fast.bos_token_id
    for row in (
        TextRow("", text, is_plain=True),
        TextRow(text, "calm", history=()),
        TextRow("tea", "b", (), (("t", "c"),)),
    ):
        encoded = encode_row(row, tokenizer.text_format, tokenizer.encode, max_length=99)
        assert encoded.token_ids.count(fast.bos_token_id) == 1
        assert encoded.token_ids[: len(theirs)] == theirs or row.history
        assert encoded.token_ids[0] == fast.bos_token_id
        assert encoded.prompt_length > 0 or row.completion.startswith("<s>")
    plain = encode_row(TextRow("", "tea", is_plain=True), tokenizer.text_format, tokenizer.encode, max_length=99)
    assert plain.prompt_length == 1


def test_a_template_that_writes_bos_itself_has_no_second_one(bos_folder) -> None:
    tokenizer, fast = bos_folder(LLAMA_3)
    row = TextRow("tea?", "calm", history=(("a", "b"),))
    encoded = encode_row(row, tokenizer.text_format, tokenizer.encode, max_length=99)
    assert encoded.token_ids.count(fast.bos_token_id) == 1
    plain = encode_row(TextRow("", "tea", is_plain=True), tokenizer.text_format, tokenizer.encode, max_length=99)
    assert plain.token_ids[:4] == fast("tea")["input_ids"]


def test_a_checkpoint_keeps_the_format_of_its_rows(bos_folder) -> None:
    tokenizer, _ = bos_folder()
    kept = json.loads(json.dumps(tokenizer.describe_format() | {"of_a_later_version": 1}))
    other = TextTokenizer(tokenizer.tokenizer, TextFormat("<", ">"))
    assert other.with_format(kept).text_format == tokenizer.text_format
