"""The rules for LLaMA-Factory: its `.yaml`, supervised training of a LoRA."""

import re
from collections.abc import Sequence

from trainer.converting.conversion import Conversion, ForeignValues, to_number
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

# Defaults that count where its file is silent. Source: src/llamafactory/hparams, transformers' TrainingArguments.
NAME = re.compile(r"[\w.-]+")  # of a module; what else stands there is a regular expression
RANK, LENGTH, BATCH, EPOCHS, RATE, SAVE, SEED = 8, 2048, 8, 3.0, 5e-5, 500, 42


def convert_llama_factory(values: ForeignValues) -> Conversion:
    """Translate a file of LLaMA-Factory. Raises: BadInput."""
    told = Conversion()
    stage, kind = values.text("stage", "sft"), values.text("finetuning_type", "lora")
    if stage not in {"sft", "pt"}:
        raise BadInput("stage", f"{stage} has no equal: this trainer learns answers (sft) and plain texts (pt)")
    if kind != "lora":
        raise BadInput("finetuning_type", f"{kind} has no equal: this trainer trains LoRA adapters")
    if (base := values.text("model_name_or_path")) is not None:
        convert_base(told, "model_name_or_path", base)
    _convert_adapter(told, values)
    _convert_data(told, values)
    _convert_steps(told, values)
    _convert_machine(told, values)
    return told


def _convert_adapter(told: Conversion, values: ForeignValues) -> None:
    dora, rslora = values.flag("use_dora"), values.flag("use_rslora")
    if dora and rslora:
        raise BadInput("use_rslora", "use_dora and use_rslora together have no equal: variant is one of them")
    told.config["variant"] = "dora" if dora else "rslora" if rslora else "lora"
    rank = values.whole("lora_rank", RANK) or RANK
    told.config["lora_rank"] = rank
    convert_alpha(told, "lora_alpha", values.number("lora_alpha") or 2.0 * rank, rank)
    told.config["lora_dropout"] = values.number("lora_dropout", 0.0)
    told.config["target_modules"] = read_targets(told, "lora_target", values.texts("lora_target") or ["all"])
    if (adapter := values.text("adapter_name_or_path")) is not None:
        told.config["init_from"] = adapter


def read_targets(told: Conversion, key: str, written: Sequence[str]) -> list[str]:
    """Read the names of modules, a list or a text with commas; all of them, and a pattern, is all-linear."""
    names = [name.strip() for text in written for name in text.split(",") if name.strip()]
    if any(not NAME.fullmatch(name) for name in names):
        told.lose(key, list(written), "a pattern of names; all-linear is written: put the modules' names in its place")
        return ["all-linear"]
    return ["all-linear"] if names in (["all"], ["all-linear"]) else names


def _convert_data(told: Conversion, values: ForeignValues) -> None:
    folder, names = values.text("dataset_dir", "data"), values.texts("dataset")
    told.config["train_data_dir"] = folder
    if names is not None:
        told.note(
            "dataset",
            f"{', '.join(names)} stands in {folder}/dataset_info.json; put its files alone into train_data_dir",
        )
    told.config["max_length"] = values.whole("cutoff_len", LENGTH)
    told.config["packing"] = True
    if any([values.flag("packing"), values.flag("neat_packing")]):
        told.note("packing", "only rows of a batch lie end to end here, and none sees another: steps count rows")
    if (held_out := values.number("val_size")) is not None:
        convert_held_out(told, "val_size", held_out)


def _convert_steps(told: Conversion, values: ForeignValues) -> None:
    batch = values.whole("per_device_train_batch_size", BATCH) or BATCH
    accumulation = values.whole("gradient_accumulation_steps", 1) or 1
    convert_batch(told, batch, accumulation, key="per_device_train_batch_size")
    steps = values.whole("max_steps", -1) or -1
    most = steps if steps > 0 else None
    convert_passes(told, epochs=values.number("num_train_epochs", EPOCHS), max_steps=most, key="num_train_epochs")
    told.config["learning_rate"] = values.number("learning_rate", RATE)
    convert_schedule(told, "lr_scheduler_type", values.text("lr_scheduler_type", "linear"))
    warmup, share = values.number("warmup_steps", 0.0), values.number("warmup_ratio", 0.0)
    convert_warmup(told, "warmup_ratio", warmup or share or 0.0, most)
    convert_optimizer(told, "optim", values.text("optim", "adamw_torch"))
    told.config["save_steps"] = to_number(values.number("save_steps", SAVE) or SAVE)
    told.config["seed"] = values.whole("seed", SEED)


def _convert_machine(told: Conversion, values: ForeignValues) -> None:
    told.config["output_dir"] = values.text("output_dir", "./output")
    bits = values.whole("quantization_bit")
    if bits not in {None, 4, 8}:
        raise BadInput("quantization_bit", f"{bits} bits have no equal: 4 or 8")
    if bits is not None:
        told.config["quantization"] = f"{bits}bit"
    half, fp16 = any([values.flag("bf16"), values.flag("pure_bf16")]), values.flag("fp16")
    told.config["precision"] = "bf16" if half else "fp16" if fp16 else "auto"
    without = [values.flag("disable_gradient_checkpointing"), not values.flag("gradient_checkpointing", default=True)]
    told.config["gradient_checkpointing"] = False if any(without) else "auto"
    boards = values.texts("report_to") or []
    known = [board for board in boards if board in {"tensorboard", "wandb", "mlflow", "swanlab"}]
    if known:
        told.config["log_to"] = known[0]
    if others := [board for board in boards if board not in {"none", "all", *known[:1]}]:
        told.lose("report_to", others, "curves go to one place only (log_to)")
    if (resumed := values.take("resume_from_checkpoint")) is not None and resumed is not False:
        told.lose("resume_from_checkpoint", resumed, "the state of another program cannot be gone on from")
