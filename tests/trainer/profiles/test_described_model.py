"""What the broker is told of a base model that its operator adds: the counts of its quotes are those of training."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from pricing.catalog import get_base_model
from pricing.datasets.text_rows import TextRow, encode_row
from pricing.training.adapter_parameters import count_adapter_parameters
from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.commands.make_tiny import make_tiny
from trainer.families.registry import get_family_class
from trainer.profiles import image_profile
from trainer.profiles.described_model import describe_model

ROWS = [
    TextRow("Write a line about tea.", "Tea, picked at dawn."),
    TextRow("", "Tea is calm.", is_plain=True),
    TextRow("再来一句", "好茶", system="简短", history=(("你好", "您好"),)),
]


@pytest.mark.slow
@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("kind", ["llama", "chatglm"])
def test_rows_are_counted_by_the_description_as_the_family_encodes_them(
    kind: str, begins: bool, tmp_path: Path
) -> None:
    folder = make_tiny(kind, tmp_path / kind)
    if begins and kind == "llama":
        begin_texts(folder)
    described = describe_model(folder, "our-own")
    tokenizer, profile = Tokenizer.from_str(described.tokenizer), described.profile
    assert profile.text_format is not None

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    counted = [encode_row(row, profile.text_format, encode, max_length=profile.context_length) for row in ROWS]
    source = BaseModelSource("our-own", folder, profile)
    trained = get_family_class(source).load(source).encode(ROWS, max_length=10_000)
    assert [row.token_ids for row in counted] == [row.token_ids for row in trained]
    if begins and kind == "llama":
        assert {row.token_ids[0] for row in counted} == {tokenizer.token_to_id("<s>")}


def begin_texts(folder: Path) -> None:
    """Have the tokenizer of a folder begin every text with `<s>`."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = json.loads((folder / "tokenizer_config.json").read_text())["eos_token"]
    tokenizer.add_special_tokens(["<s>"])
    tokens = [("<s>", tokenizer.token_to_id("<s>"))]
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=tokens)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token=end)
    fast.save_pretrained(folder)


@pytest.mark.slow
def test_names_of_chatglms_original_layout_are_those_of_the_modules_that_they_became(tmp_path: Path) -> None:
    profile = describe_model(make_tiny("chatglm", tmp_path / "chatglm"), "our-own").profile
    original = TrainingConfig(base_model="our-own", target_modules=("query_key_value",))
    mapped = TrainingConfig(base_model="our-own", target_modules=("q_proj", "k_proj", "v_proj"))
    assert count_adapter_parameters(profile, original) == count_adapter_parameters(profile, mapped) > 0


def test_name_of_the_catalogue_keeps_its_aliases_and_tells_the_shape_of_the_files(tmp_path: Path) -> None:
    profile = describe_model(make_tiny("llama", tmp_path / "llama"), "llama-2-7b").profile
    published = get_base_model("llama-2-7b")
    assert (profile.aliases, profile.licence) == (published.aliases, published.licence)
    assert profile.parameters < published.parameters


def test_file_of_stable_diffusion_is_described_with_the_vocabulary_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_profile, "measure_costs", lambda *_network: get_base_model("sd-1.5").costs)
    described = describe_model(make_tiny("sd15", tmp_path / "style.safetensors"), "our-style")
    assert described.tokenizer is None
    assert described.files == ("style.safetensors",)
    assert (described.profile.tokenizer, described.profile.resolution) == ("clip-vit-large-patch14.json.gz", 512)
