"""The rules for axolotl: its `.yaml`, supervised training of a LoRA or QLoRA."""

from pathlib import Path
from typing import Any

from trainer.converting.conversion import Conversion, ForeignValues, show, to_number
from trainer.converting.llama_factory import read_targets
from trainer.converting.shared_words import (
    convert_alpha,
    convert_base,
    convert_batch,
    convert_held_out,
    convert_optimizer,
    convert_passes,
    convert_schedule,
    convert_warmup,
)
from trainer.errors import BadInput

# Defaults that count where its file is silent. Source: src/axolotl/utils/schemas, src/axolotl/core/builders/base.py.
RANK, ALPHA, LENGTH, WARMUP, SEED = 8, 16, 512, 0.03, 42


def convert_axolotl(values: ForeignValues) -> Conversion:
    """Translate a file of axolotl. Raises: BadInput."""
    told = Conversion()
    if (method := values.text("rl")) is not None:
        raise BadInput("rl", f"{method} has no equal: this trainer learns answers, not preferences")
    if (base := values.text("base_model")) is not None:
        convert_base(told, "base_model", base)
    _convert_adapter(told, values)
    _convert_data(told, values)
    _convert_steps(told, values)
    _convert_machine(told, values)
    return told


def _convert_adapter(told: Conversion, values: ForeignValues) -> None:
    kind = values.text("adapter")
    if kind is None:
        raise BadInput("adapter", "is missing, so all weights train, which has no equal; say adapter: lora or qlora")
    if kind not in {"lora", "qlora"}:
        raise BadInput("adapter", f"{kind!r} has no equal: this trainer trains LoRA adapters (adapter: lora or qlora)")
    dora, rslora = values.flag("peft_use_dora"), values.flag("peft_use_rslora")
    if dora and rslora:
        raise BadInput("peft_use_rslora", "DoRA and rsLoRA together have no equal: variant is one of them")
    told.config["variant"] = "dora" if dora else "rslora" if rslora else "lora"
    rank = values.whole("lora_r", RANK) or RANK
    told.config["lora_rank"] = rank
    convert_alpha(told, "lora_alpha", values.number("lora_alpha", ALPHA) or ALPHA, rank)
    told.config["lora_dropout"] = values.number("lora_dropout", 0.0)
    named, linear = values.texts("lora_target_modules"), values.flag("lora_target_linear")
    told.config["target_modules"] = (
        read_targets(told, "lora_target_modules", named) if named and not linear else ["all-linear"]
    )
    bits4, bits8 = values.flag("load_in_4bit", default=kind == "qlora"), values.flag("load_in_8bit")
    if bits4 or bits8:
        told.config["quantization"] = "4bit" if bits4 else "8bit"
    if (adapter := values.text("lora_model_dir")) is not None:
        told.config["init_from"] = adapter


def _convert_data(told: Conversion, values: ForeignValues) -> None:
    datasets = values.take("datasets") or []
    if not isinstance(datasets, list) or not all(isinstance(one, dict) for one in datasets):
        raise BadInput("datasets", f"{show(datasets)} is no list of data sets, each with its path")
    paths = [path for one in datasets if (path := ForeignValues(one).text("path")) is not None]
    if len(paths) == 1 and Path(paths[0]).exists():
        place = Path(paths[0])
        told.config["train_data_dir"] = str(place.parent if place.is_file() else place)
        if place.is_file():
            told.config["metadata_path"] = str(place)
    elif paths:
        told.lose("datasets", paths, "nothing is fetched or mixed: put the files into one folder, as train_data_dir")
    for one in datasets:
        kind = one.get("type")
        if kind not in (None, "alpaca", "chat_template", "sharegpt", "completion"):
            told.lose(
                "datasets type", kind, "rows have one of the forms in docs/trainer.md, which is told by their keys"
            )
    told.config["max_length"] = values.whole("sequence_len", LENGTH)
    packed = values.flag("sample_packing")
    told.config["packing"] = True
    told.note(
        "sample_packing",
        "rows of many batches become one there, so a step learns from more of them than batch_size; here a step has "
        "batch_size × gradient_accumulation rows: raise batch_size to learn from as many"
        if packed
        else "off there; here rows of a batch lie end to end without padding, which changes neither loss nor steps",
    )
    if (held_out := values.number("val_set_size")) is not None:
        convert_held_out(told, "val_set_size", held_out)


def _convert_steps(told: Conversion, values: ForeignValues) -> None:
    batch = values.whole("micro_batch_size", 1) or 1
    convert_batch(told, batch, values.whole("gradient_accumulation_steps", 1) or 1, key="micro_batch_size")
    steps = values.whole("max_steps")
    convert_passes(told, epochs=values.number("num_epochs", 1.0), max_steps=steps, key="num_epochs")
    if (rate := values.number("learning_rate")) is None:
        raise BadInput("learning_rate", "is missing, and axolotl has no default for it")
    told.config["learning_rate"] = rate
    convert_schedule(told, "lr_scheduler", values.text("lr_scheduler", "cosine"))
    warmup, share = values.number("warmup_steps"), values.number("warmup_ratio", WARMUP)
    convert_warmup(told, "warmup_ratio", share or 0.0 if warmup is None else warmup, steps)
    convert_optimizer(told, "optimizer", values.text("optimizer", "adamw_torch_fused"))
    _convert_saving(told, values.number("save_steps"), steps)
    told.config["seed"] = values.whole("seed", SEED)


def _convert_saving(told: Conversion, every: float | None, steps: int | None) -> None:
    if every is None:
        return
    if every >= 1:
        told.config["save_steps"] = to_number(every)
    elif steps is not None:
        told.config["save_steps"] = max(1, round(every * steps))
    else:
        told.lose("save_steps", every, "a share of all steps, whose number the data decide; write save_steps, in steps")


def _convert_machine(told: Conversion, values: ForeignValues) -> None:
    told.config["output_dir"] = values.text("output_dir", "./model-out")
    told.config["precision"] = _read_precision(values)
    if values.flag("use_tensorboard"):
        told.config["log_to"] = "tensorboard"
    recompute: Any = values.take("gradient_checkpointing", False)
    told.config["gradient_checkpointing"] = True if recompute is True else "auto" if recompute else False
    if values.flag("auto_resume_from_checkpoints"):
        told.config["resume"] = "auto"
    if (resumed := values.take("resume_from_checkpoint")) is not None:
        told.lose("resume_from_checkpoint", resumed, "the state of another program cannot be gone on from")


def _read_precision(values: ForeignValues) -> str:
    old = {name: values.take(name) for name in ("bfloat16", "float16")}
    bf16 = str(values.take("bf16", "auto" if old["bfloat16"] is None else old["bfloat16"])).lower()
    fp16 = str(values.take("fp16", "false" if old["float16"] is None else old["float16"])).lower()
    if fp16 == "true":
        return "fp16"
    return {"true": "bf16", "full": "bf16", "auto": "auto"}.get(bf16, "fp32")
