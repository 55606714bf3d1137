"""ChatGLM2/3 and GLM-4 in their original layout, against their published formulas."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import AutoPeftModelForCausalLM

from pricing.datasets.text_rows import TextRow
from pricing.training.config import TrainingConfig
from tests.properties import examples
from tests.trainer.families.chatglm.glm_folders import CONFIG, SPECIAL, compute_logits, draw_tensors, write_folder
from trainer.base_models.config import BaseModelSource
from trainer.errors import BadInput
from trainer.families.chatglm.chatglm import ChatGLM, convert_once
from trainer.families.chatglm.layout import IN_LAYER, OUTSIDE, map_config, map_tensors
from trainer.families.registry import get_family_class
from trainer.formats.adapter import Adapter
from trainer.training.adapter_file import write_adapter
from trainer.training.session import keep_base_loadable

REPOSITORY = Path(__file__).parents[4]
IDS = torch.tensor([7, 60, 200, 3, 9, 9, 131])
KINDS = {
    "chatglm3": {},
    "glm4": {"rope_ratio": 500, "multi_query_group_num": 1, "layernorm_epsilon": 1.5625e-07},
    "chatglm2-32k": {"rope_ratio": 16, "_name_or_path": "THUDM/chatglm2-6b-32k"},
    "no-bias": {"add_qkv_bias": False},
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(tmp_path / "cache"))


def load(folder) -> ChatGLM:
    return ChatGLM.load(BaseModelSource("glm", folder))


@pytest.mark.parametrize("kind", list(KINDS))
@torch.inference_mode()
def test_the_logits_are_those_of_the_published_formulas(kind, tmp_path) -> None:
    config = CONFIG | KINDS[kind]
    family = load(write_folder(tmp_path / kind, config))
    expected = compute_logits(draw_tensors(config), config, IDS)
    logits = family.model(input_ids=IDS[None]).logits[0]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@given(
    heads=st.sampled_from([2, 4, 8]),
    groups=st.sampled_from([1, 2]),
    width=st.sampled_from([4, 8]),
    layers=st.integers(1, 3),
    bias=st.booleans(),
)
@examples(20)
def test_the_mapping_loses_nothing_and_renames_back(heads, groups, width, layers, bias) -> None:
    sizes = {"num_attention_heads": heads, "multi_query_group_num": groups, "kv_channels": width}
    config = CONFIG | sizes | {"num_layers": layers, "add_qkv_bias": bias, "padded_vocab_size": 11}
    tensors = draw_tensors(config)
    mapped = dict(map_tensors(tensors, config))
    back = {original: mapped.pop(ours) for original, ours in OUTSIDE.items()}
    for number in range(layers):
        ours, theirs = f"model.layers.{number}.", f"transformer.encoder.layers.{number}."
        back |= {theirs + original: mapped.pop(ours + name) for original, name in IN_LAYER.items()}
        for kind in ("weight", "bias") if bias else ("weight",):
            parts = [mapped.pop(f"{ours}self_attn.{part}_proj.{kind}") for part in "qkv"]
            back[f"{theirs}self_attention.query_key_value.{kind}"] = torch.cat(parts)
    assert mapped == {}
    del tensors["transformer.rotary_pos_emb.inv_freq"]
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_the_hf_layout_gives_the_same_model_and_defaults(tmp_path) -> None:
    folder = write_folder(tmp_path / "original", CONFIG)
    converted = convert_once(folder)
    assert convert_once(folder) == converted
    sources = [BaseModelSource("glm", path) for path in (folder, converted)]
    assert [get_family_class(source) for source in sources] == [ChatGLM, ChatGLM]
    original, mapped = (ChatGLM.load(source) for source in sources)
    assert original.tokenizer.text_format == mapped.tokenizer.text_format
    with torch.inference_mode():
        assert torch.equal(mapped.model(input_ids=IDS[None]).logits, original.model(input_ids=IDS[None]).logits)
    for family in (original, mapped):
        family.attach_adapter(TrainingConfig(base_model="glm", lora_rank=2))
        assert family.adapter_config()["target_modules"] == ["k_proj", "q_proj", "v_proj"]


def test_target_modules_may_have_their_original_names(tmp_path) -> None:
    family = load(write_folder(tmp_path / "glm", CONFIG))
    targets = ["query_key_value", "dense_h_to_4h", "dense_4h_to_h", "dense"]
    family.attach_adapter(TrainingConfig(base_model="glm", lora_rank=2, target_modules=targets))
    expected = ["down_proj", "gate_up_proj", "k_proj", "o_proj", "q_proj", "v_proj"]
    assert family.adapter_config()["target_modules"] == expected
    assert ChatGLM.translate_targets(["q_proj", "query_key_value"]) == ("q_proj", "k_proj", "v_proj")


def test_the_tiktoken_file_is_read_with_its_special_tokens_where_they_were(tmp_path) -> None:
    tokenizer = load(write_folder(tmp_path / "glm", CONFIG)).tokenizer
    assert tokenizer.encode("tea 茶") == list("tea 茶".encode())
    assert tokenizer.encode("[gMASK]<sop><|user|>") == [
        256 + SPECIAL.index(t) for t in ("[gMASK]", "<sop>", "<|user|>")
    ]
    text_format = tokenizer.text_format
    assert text_format.before_prompt == "[gMASK]<sop><|user|>\n"
    assert text_format.after_prompt == "<|assistant|>\n"
    assert text_format.after_completion == "<|user|>"


def test_a_row_ends_with_the_token_at_which_the_model_stops(tmp_path) -> None:
    family = load(write_folder(tmp_path / "glm", CONFIG))
    (row,) = family.encode([TextRow("tea?", "calm")], max_length=64)
    assert row.token_ids[-1] == 256 + SPECIAL.index("<|user|>")


def test_the_loss_falls_when_it_trains(tmp_path) -> None:
    torch.manual_seed(0)
    family = load(write_folder(tmp_path / "glm", CONFIG))
    rows = family.encode([TextRow("tea?", "calm"), TextRow("rain?", "soft rain")], max_length=64)
    family.attach_adapter(TrainingConfig(base_model="glm", lora_rank=4))
    trainable = [parameter for parameter in family.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    losses = []
    for _ in range(12):
        loss = family.compute_loss(family.collate(rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantization_bit": 4}, "take the plain weights"),
        ({"pre_seq_len": 128}, "P-tuning"),
        ({"rmsnorm": False}, "rmsnorm differs"),
        ({"num_layers": 3}, r"incomplete or of another model: .*layers\.2"),
        ({"num_layers": 1}, r"incomplete or of another model: .*layers\.1"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change, message, tmp_path) -> None:
    folder = write_folder(tmp_path / "glm", CONFIG | change, draw_tensors(CONFIG))
    with pytest.raises(BadInput, match=message):
        load(folder)


def test_the_first_generation_is_told_apart(tmp_path) -> None:
    config = {key: value for key, value in CONFIG.items() if key != "padded_vocab_size"} | {"inner_hidden_size": 16384}
    with pytest.raises(BadInput, match="the first ChatGLM-6B"):
        load(write_folder(tmp_path / "glm", config, draw_tensors(CONFIG)))


def test_weights_in_a_pickle_are_not_opened(tmp_path) -> None:
    folder = write_folder(tmp_path / "glm", CONFIG)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    torch.save(draw_tensors(CONFIG), folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="are never opened"):
        load(folder)


def test_a_file_that_is_neither_tiktoken_nor_sentencepiece_is_told(tmp_path) -> None:
    folder = write_folder(tmp_path / "glm", CONFIG)
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02\n\x0c")
    with pytest.raises(BadInput, match="is neither a tiktoken file nor a SentencePiece model"):
        load(folder)


def test_later_turns_begin_with_the_mark_that_ends_an_answer_once(tmp_path) -> None:
    """Past fault: <|user|> ended an answer and began the next turn as well."""
    family = load(write_folder(tmp_path / "glm", CONFIG))
    (row,) = family.encode([TextRow("q2", "a2", history=(("q1", "a1"),))], max_length=128)
    written = family.tokenizer.tokenizer.decode(row.token_ids, skip_special_tokens=False)
    expected = "[gMASK]<sop><|user|>\nq1<|assistant|>\na1<|user|>\nq2<|assistant|>\na2<|user|>"
    assert written.replace(" ", "") == expected


def test_the_longer_context_of_chatglm2_stretches_positions_that_of_chatglm3_the_base() -> None:
    stretched = map_config(CONFIG | {"rope_ratio": 16, "_name_or_path": "THUDM/chatglm2-6b-32k"})["rope_parameters"]
    assert (stretched["rope_type"], stretched["factor"], stretched["rope_theta"]) == ("linear", 16, 10_000)
    rebased = map_config(CONFIG | {"rope_ratio": 50, "_name_or_path": "THUDM/chatglm3-6b-32k"})["rope_parameters"]
    assert (rebased["rope_type"], rebased["rope_theta"]) == ("default", 500_000)


@pytest.mark.slow
def test_the_family_can_be_imported_first_in_a_fresh_process() -> None:
    """`transformers.convert_slow_tokenizer` was taken for a module; it is a function until somebody imports that."""
    subprocess.run([sys.executable, "-c", "import trainer.families.chatglm.chatglm"], check=True, cwd=REPOSITORY)


def test_plain_auto_peft_loads_an_adapter_of_the_original_layout(tmp_path) -> None:
    family = load(folder := write_folder(tmp_path / "glm", CONFIG))
    family.attach_adapter(TrainingConfig(base_model="glm", lora_rank=2))
    write_adapter(tmp_path / "out", Adapter(family.adapter_tensors(), family.adapter_config(), {}))
    keep_base_loadable(family, BaseModelSource("glm", folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out", local_files_only=True).eval()
    with torch.inference_mode():
        assert torch.equal(loaded(input_ids=IDS[None]).logits, family.model.eval()(input_ids=IDS[None]).logits)
