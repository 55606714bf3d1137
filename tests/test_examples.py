"""The example data and template: what a newcomer trains first must be usable as it stands."""

import gzip
import math
import re
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer

from pricing.catalog import get_base_model, read_tokenizer
from pricing.datasets.text_rows import encode_row, parse_text_files
from pricing.training.config_parsing import parse_training_config

EXAMPLES = Path(__file__).parents[1] / "examples"
TRAINING_FILE = EXAMPLES / "brand_tone" / "train.jsonl"
TEMPLATE_FILE = EXAMPLES / "template_smollm2.yaml"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def parsed():
    return parse_text_files([(TRAINING_FILE.name, TRAINING_FILE.read_bytes())])


@pytest.fixture(scope="module")
def config():
    return parse_training_config(yaml.safe_load(TEMPLATE_FILE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def token_counts(parsed):
    model = get_base_model("smollm2-135m-instruct")
    tokenizer = Tokenizer.from_str(gzip.decompress(read_tokenizer(model)).decode())

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    encoded = [encode_row(row, model.text_format, encode, max_length=model.context_length) for row in parsed.rows]
    return [len(row.token_ids) for row in encoded]


def test_every_row_is_usable(parsed):
    assert parsed.findings == []
    assert len(parsed.rows) == len(TRAINING_FILE.read_text(encoding="utf-8").splitlines())
    assert len(parsed.rows) >= 64
    assert all(row.prompt for row in parsed.rows)


@pytest.mark.parametrize("part", ["prompt", "completion"])
def test_nothing_stands_twice(parsed, part):
    texts = [getattr(row, part).casefold() for row in parsed.rows]
    assert len(set(texts)) == len(texts)


def test_both_languages_have_about_half(parsed):
    chinese = [row for row in parsed.rows if CHINESE.search(row.completion)]
    assert 0.4 <= len(chinese) / len(parsed.rows) <= 0.6
    assert all(CHINESE.search(row.prompt) for row in chinese)


def test_voice_neither_shouts_nor_boasts(parsed):
    banned = re.compile(r"[!！]|高级感|极致|\b(?:best-in-class|premium|nice|amazing|ultimate)\b", re.IGNORECASE)
    assert [row.completion for row in parsed.rows if banned.search(row.completion)] == []


def test_template_cuts_no_row(token_counts, config):
    assert max(token_counts) <= config.max_length


def test_template_is_a_run_of_a_minute_or_two(token_counts, config):
    steps = math.ceil(len(token_counts) / config.batch_size) * config.epochs
    assert 12 <= steps <= 24
    assert max(token_counts) * config.batch_size <= 512


def test_template_names_a_base_model_of_the_catalogue(config):
    profile = get_base_model(config.base_model)
    assert set(config.target_modules) <= set(profile.modules)


def test_template_trains_the_example_data(config):
    assert config.train_data_dir == "./examples/brand_tone"
    assert (EXAMPLES.parent / config.train_data_dir / TRAINING_FILE.name).samefile(TRAINING_FILE)


def test_template_saves_a_checkpoint_on_the_way(token_counts, config):
    steps = math.ceil(len(token_counts) / config.batch_size) * config.epochs
    assert config.save_steps < steps
