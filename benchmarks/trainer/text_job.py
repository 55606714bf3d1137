"""The text trainings that both sides are given: the same rows, base model, modules, rank, batch and precision."""

import json
from pathlib import Path
from typing import Any

import yaml

from pricing.catalog import get_base_model
from pricing.datasets.text_rows import EncodedRow, encode_row
from pricing.training.config import TrainingConfig
from trainer.base_models.config import resolve_base_model
from trainer.base_models.gguf_cache import dequantize_once
from trainer.data.text import read_text_dataset
from trainer.families.text.tokenizer import load_text_tokenizer

BASE_MODEL = "smollm2-135m-instruct"
EXAMPLES = Path(__file__).parents[2] / "examples" / "brand_tone"
FIXED_LENGTH, FIXED_ROWS, BATCH = 128, 16, 4
COMMON: dict[str, Any] = {
    "base_model": BASE_MODEL,
    "lora_rank": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "v_proj"],
    "batch_size": BATCH,
    "epochs": 1000,  # the measuring process is told when to stop
    "learning_rate": 1e-4,
    "lr_scheduler": "constant",
    "max_length": FIXED_LENGTH,
    "save_steps": 1_000_000,
    "precision": "fp32",
    "seed": 1,
}


def write_fixed_job(folder: Path, **changes: Any) -> Path:
    """16 rows that are all cut to 128 tokens; nearly every token carries loss."""
    data = folder / "data"
    data.mkdir(parents=True)
    lines = [json.loads(line)["completion"] for line in (EXAMPLES / "train.jsonl").read_text("utf-8").splitlines()]
    rows = [{"prompt": "Go on.", "completion": " ".join(lines[n : n + 12])} for n in range(FIXED_ROWS)]
    (data / "rows.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return write_job(folder, train_data_dir=str(data), **changes)


def write_mixed_job(folder: Path, **changes: Any) -> Path:
    """Write a job on the 68 rows of examples/brand_tone, 50 to 110 tokens, as they are."""
    folder.mkdir(parents=True)
    return write_job(folder, train_data_dir=str(EXAMPLES), **changes)


def write_job(folder: Path, **changes: Any) -> Path:
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(COMMON | {"output_dir": str(folder / "output")} | changes), encoding="utf-8")
    return file


def encode_rows(config: TrainingConfig) -> list[EncodedRow]:
    """Token ids as our training has them, for the peer."""
    source = resolve_base_model(config.base_model)
    tokenizer = load_text_tokenizer(source, source.weights.parent)
    rows = read_text_dataset(config).rows
    encode, text_format = tokenizer.encode, tokenizer.text_format
    return [encode_row(row, text_format, encode, max_length=config.max_length) for row in rows]


def count_loss_tokens(rows: list[EncodedRow]) -> int:
    """Tokens of one epoch that carry loss: those of the completions (the very first of a row has no predecessor)."""
    return sum(len(row.token_ids) - max(row.prompt_length, 1) for row in rows)


def get_model_folder() -> Path:
    """Get the de-quantized weights as a plain folder: transformers.Trainer refuses a model loaded from GGUF."""
    assert get_base_model(BASE_MODEL)
    return dequantize_once(resolve_base_model(BASE_MODEL).weights)
