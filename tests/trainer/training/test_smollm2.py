"""The real thing: SmolLM2-135M from its package, trained for a few steps on rows like those of `examples/`."""

import json

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pricing.datasets.text_rows import TextRow, encode_row, parse_text_files
from pricing.training.config import TrainingConfig
from pricing.training.text_workload import plan_text_workload
from trainer.base_models.config import resolve_base_model
from trainer.base_models.gguf_cache import dequantize_once
from trainer.data.text import read_text_dataset
from trainer.families.text.tokenizer import derive_text_format, list_messages, load_text_tokenizer
from trainer.training.adapter_file import read_adapter
from trainer.training.session import run_training

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The PEFT config's `base_model_name_or_path` was renamed:UserWarning"),
]

TEXTS = [
    ("为一款乌龙茶写一句文案。", "山雾还没散，茶已经替你醒了。"),
    ("Write one line about a linen shirt.", "Linen for the days you would rather not iron."),
    ("为一双跑鞋写一句文案。", "路很长，鞋要轻一点。"),
    ("Write one line about a desk lamp.", "Light enough to read by, warm enough to stay."),
    ("为一床羽绒被写一句文案。", "冬天在外面，你在里面。"),
]
CONVERSATIONS = [
    TextRow("Hi", "Hello."),
    TextRow("And tea?", "Calm.", history=(("Hi", "Hello."),)),
    TextRow("And tea?", "Calm.", system="Be brief.", history=(("Hi", "Hello."),)),
]


def test_smollm2_learns_and_plain_peft_loads_what_it_learnt(recorder, tmp_path, monkeypatch, pytestconfig) -> None:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(pytestconfig.cache.mkdir("lora-trainer")))
    rows = "\n".join(json.dumps({"prompt": prompt, "completion": completion}) for prompt, completion in TEXTS)
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    config = TrainingConfig(
        base_model="smollm2-135m-instruct",
        train_data_dir=str(tmp_path),
        output_dir=str(tmp_path / "output"),
        batch_size=2,
        epochs=3,
        learning_rate=3e-3,
        lora_dropout=0.1,
        max_length=96,
    )
    source = resolve_base_model(config.base_model)
    observer = recorder()
    finished = run_training(config, source, read_text_dataset(config), observer=observer, stop=observer.stop)

    assert observer.losses[-1] < observer.losses[0] - 0.5
    assert finished.result.tokens == count_as_quoted(rows, config)

    folder = dequantize_once(source.weights)
    base = AutoModelForCausalLM.from_pretrained(folder)
    assert sum(parameter.numel() for parameter in base.parameters()) == source.profile.parameters
    input_ids = torch.tensor([load_text_tokenizer(source, folder).encode("山雾还没散，茶已经替你醒了。")])
    with torch.inference_mode():
        before = base(input_ids=input_ids, labels=input_ids).loss.item()
        tuned = peft.PeftModel.from_pretrained(base, finished.adapter.parent).eval()
        after = tuned(input_ids=input_ids, labels=input_ids).loss.item()
    assert after < before
    trained = sum(tensor.numel() for tensor in read_adapter(finished.adapter).tensors.values())
    assert trained == 460_800


def count_as_quoted(rows: str, config: TrainingConfig) -> int:
    """Count the tokens of the broker's quote: the catalogue's tokenizer, no model."""
    source = resolve_base_model(config.base_model)
    tokenizer = load_text_tokenizer(source, source.weights.parent)
    parsed = parse_text_files([("rows.jsonl", rows.encode())]).rows
    encoded = [encode_row(row, tokenizer.text_format, tokenizer.encode, max_length=config.max_length) for row in parsed]
    return plan_text_workload([len(row.token_ids) for row in encoded], config).tokens


def test_the_catalogue_has_the_tokenizer_and_the_template_of_the_gguf_file(monkeypatch, pytestconfig) -> None:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(pytestconfig.cache.mkdir("lora-trainer")))
    source = resolve_base_model("smollm2-135m-instruct")
    folder = dequantize_once(source.weights)
    ours, theirs = load_text_tokenizer(source, folder), AutoTokenizer.from_pretrained(folder)
    text = " ".join(f"{prompt} <|im_start|>{completion}<|im_end|>\n" for prompt, completion in TEXTS)
    assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]
    assert ours.text_format == derive_text_format(folder)
    for row in CONVERSATIONS:
        text = "".join(piece for piece, _ in ours.text_format.lay_out(row))
        assert text == theirs.apply_chat_template(list_messages(row), tokenize=False)
