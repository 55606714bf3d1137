"""The SentencePiece file of ChatGLM2 and 3: read without the release's code, laid out as that code does it."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from tokenizers import Tokenizer

from pricing.datasets.text_rows import TextRow
from pricing.training.config import TrainingConfig
from tests.trainer.families.chatglm.glm_folders import CONFIG, draw_tensors, write_folder
from trainer.base_models.config import BaseModelSource
from trainer.errors import BadInput
from trainer.families.chatglm import sentencepiece_file
from trainer.families.chatglm.chatglm import ChatGLM, convert_once
from trainer.families.chatglm.generation import Generation, tell_generation
from trainer.families.chatglm.sentencepiece_file import convert_sentencepiece, list_merges

ROOT = Path(__file__).parents[4]
CODE = {
    2: "special_tokens = ['[MASK]', '[gMASK]', '[sMASK]', 'sop', 'eop']\nraise SystemExit('remote code was run')",
    3: "role_special_tokens = ['<|system|>', '<|user|>', '<|assistant|>']\nraise SystemExit('remote code was run')",
}


def list_sentences() -> list[str]:
    text = (ROOT / "docs" / "trainer.md").read_text(encoding="utf-8").splitlines()
    return text + ["今天天气怎么样？晴，有风。", "问：春天的茶好吗？答：好茶，春天的茶。", "[Round 1]"] * 40


def train_pieces(kind: str = "bpe", **options: Any) -> bytes:
    buffer = io.BytesIO()
    settings = {"vocab_size": 800, "byte_fallback": True, "normalization_rule_name": "identity"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(list_sentences()),
        model_writer=buffer,
        model_type=kind,
        minloglevel=2,
        **{**settings, "remove_extra_whitespaces": False, **options},
    )
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pieces() -> bytes:
    return train_pieces()


@pytest.fixture(scope="module")
def processor(pieces: bytes) -> Any:
    return sentencepiece.SentencePieceProcessor(model_proto=pieces)


@pytest.fixture(scope="module")
def converted(pieces: bytes) -> Tokenizer:
    return convert_sentencepiece(pieces, [])


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_folder(tmp_path, pieces) -> Any:
    """Make a release's folder: code, settings and the SentencePiece file, but no tokenizer.json."""

    def make(generation: int, name: str = "glm") -> Path:
        config = CONFIG | {"padded_vocab_size": 832, "eos_token_id": 2, "pad_token_id": 0}
        folder = write_folder(tmp_path / name, config, draw_tensors(config))
        (folder / "tokenizer.model").write_bytes(pieces)
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ChatGLMTokenizer"}))
        (folder / "tokenization_chatglm.py").write_text(CODE[generation])
        return folder

    return make


def load(folder: Path) -> ChatGLM:
    return ChatGLM.load(BaseModelSource("glm", folder))


def encode(folder: Path, row: TextRow) -> list[int]:
    (encoded,) = load(folder).encode([row], max_length=128)
    return encoded.token_ids


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
        {"add_dummy_prefix": False},
        {"user_defined_symbols": ["<sep>", "tea pot"]},
    ],
)
def test_the_ids_are_those_of_sentencepiece(options) -> None:
    content = train_pieces(**options)
    ours, theirs = convert_sentencepiece(content, []), sentencepiece.SentencePieceProcessor(model_proto=content)
    text, draw = "\n".join(list_sentences()), random.Random(5)
    for _ in range(1500):
        start = draw.randrange(len(text))
        piece = text[start : start + draw.randrange(60)]
        assert ours.encode(piece, add_special_tokens=False).ids == theirs.encode(piece), piece


@given(st.text(max_size=40).filter(lambda text: "<s>" not in text and "</s>" not in text and "\0" not in text))
def test_any_text_has_the_ids_of_sentencepiece_and_comes_back(converted, processor, text) -> None:
    ids = converted.encode(text, add_special_tokens=False).ids
    assert ids == processor.encode(text)
    assert converted.decode(ids) == processor.decode(ids)


def test_the_best_piece_is_merged_first() -> None:
    assert list_merges({"a": 0.0, "b": 0.0, "bb": -2.0, "ab": -1.0}) == [("a", "b"), ("b", "b")]


def test_special_tokens_follow_behind_the_pieces_in_the_order_of_the_release(make_folder) -> None:
    tokenizer = load(make_folder(3)).tokenizer.tokenizer
    names = ["[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>"]
    assert [tokenizer.token_to_id(name) for name in [*names, "<|observation|>"]] == list(range(800, 809))
    assert tokenizer.token_to_id("</s>") == 2
    assert load(make_folder(2, "two")).tokenizer.tokenizer.token_to_id("<|user|>") is None


def test_a_word_with_sop_in_it_is_no_special_token(make_folder, processor) -> None:
    assert load(make_folder(3)).tokenizer.encode("philosophy sop") == processor.encode("philosophy sop")


def test_chatglm3_lays_a_conversation_out_as_build_single_message_does(make_folder, processor) -> None:
    def say(role: int, text: str) -> list[int]:
        return [role, *processor.encode("\n"), *processor.encode(text)]

    mask, sop, system, user, assistant = 801, 803, 805, 806, 807
    row = TextRow("再见？", "See you, friend.", system="Be brief.", history=(("你好", "Hi\n\nyou"),))
    asked = [*say(system, "Be brief."), *say(user, "你好"), *say(assistant, "Hi\n\nyou"), *say(user, "再见？")]
    expected = [mask, sop, *asked, *say(assistant, "See you, friend."), user]
    assert encode(make_folder(3), row) == expected
    plain = encode(make_folder(3, "again"), TextRow("你好", "Hi"))
    assert plain == [mask, sop, *say(user, "你好"), *say(assistant, "Hi"), user]


def test_chatglm2_lays_a_question_out_as_its_tuning_script_does(make_folder, processor) -> None:
    mask, sop, end = 801, 803, 2
    prompt, answer = processor.encode("[Round 1]\n\n问：春天的茶好吗？\n\n答："), processor.encode("好茶。")
    ids = encode(make_folder(2), TextRow("春天的茶好吗？", "好茶。"))
    assert ids == [mask, sop, *prompt, *answer, end]


def test_chatglm2_counts_the_rounds_and_ends_once(make_folder) -> None:
    family = load(make_folder(2))
    row = TextRow("q3", "a3", history=(("q1", "a1"), ("q2", "a2")))
    written = "".join(text for text, _ in family.tokenizer.text_format.lay_out(row))
    rounds = [f"[Round {number}]\n\n问：q{number}\n\n答：a{number}" for number in (1, 2, 3)]
    assert written == "[gMASK]<sop>" + "\n\n".join(rounds) + "</s>"


@pytest.mark.parametrize("generation", [2, 3])
def test_it_trains_and_converts_for_a_merge(make_folder, generation, tmp_path) -> None:
    folder = make_folder(generation)
    family = load(folder)
    rows = family.encode([TextRow("tea?", "calm"), TextRow("雨？", "好")], max_length=64)
    family.attach_adapter(TrainingConfig(base_model="glm", lora_rank=2))
    assert family.compute_loss(family.collate(rows)).isfinite()
    converted = convert_once(folder)
    with safe_open(converted / "model.safetensors", "pt") as file:
        assert "model.embed_tokens.weight" in file.keys()  # noqa: SIM118 - it is no mapping
    again = ChatGLM.load(BaseModelSource("glm", converted)).tokenizer
    assert again.encode("再见 philosophy") == family.tokenizer.encode("再见 philosophy")


@pytest.mark.parametrize("generation", [2, 3])
def test_the_generation_is_told_by_code_that_is_read_and_not_run(make_folder, generation) -> None:
    assert tell_generation(make_folder(generation)) is Generation(generation)


@pytest.mark.parametrize(
    ("name", "settings", "config", "expected"),
    [
        ("chatglm2-6b-32k", {}, {}, 2),
        ("ChatGLM3-6B", {}, {}, 3),
        ("mine", {"name_or_path": "THUDM/chatglm2-6b"}, {}, 2),
        ("mine", {"added_tokens_decoder": {"64795": {"content": "<|user|>"}}}, {}, 3),
        ("mine", {}, {"_name_or_path": "THUDM/chatglm3-6b"}, 3),
    ],
)
def test_without_code_it_is_told_by_settings_or_name(tmp_path, name, settings, config, expected) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps(config))
    assert tell_generation(folder) is Generation(expected)


def test_a_folder_that_does_not_say_is_refused_with_the_cure(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"copy the release's tokenization_chatglm\.py into it"):
        tell_generation(tmp_path)


def test_a_model_of_another_kind_is_refused_with_the_cure(make_folder) -> None:
    folder = make_folder(3)
    (folder / "tokenizer.model").write_bytes(train_pieces("unigram", vocab_size=600))
    with pytest.raises(BadInput, match=r"another kind than BPE; put the release's tokenizer\.json beside it"):
        load(folder)


def test_a_missing_package_is_named(make_folder, monkeypatch) -> None:
    def refuse(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(sentencepiece_file.importlib, "import_module", refuse)
    with pytest.raises(BadInput, match="pip install sentencepiece protobuf"):
        sentencepiece_file.convert_sentencepiece(b"x", [])
