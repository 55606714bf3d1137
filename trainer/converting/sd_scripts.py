"""The rules for sd-scripts: its `.toml`, and the `.json` of bmaltais' kohya_ss."""

import math
import shlex
from typing import Any

from trainer.converting.conversion import Conversion, ForeignValues, show, to_number
from trainer.converting.shared_words import (
    convert_alpha,
    convert_base,
    convert_batch,
    convert_optimizer,
    convert_passes,
    convert_schedule,
    convert_warmup,
)
from trainer.errors import BadInput

# Defaults of sd-scripts, which count where its file is silent. Source: library/train_util.py, train_network.py.
STEPS, RATE, RANK, SIDE_STEP = 1600, 2e-6, 4, 64
LEAST_SIDE, MOST_SIDE = 64, 4096
UNET_LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
TEXT_LAYERS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
SAME = {
    "train_data_dir": "train_data_dir",
    "image_dir": "train_data_dir",
    "class_tokens": "default_caption",
    "reg_data_dir": "reg_data_dir",
    "network_weights": "init_from",
    "metadata_file": "metadata_path",
}
NUMBERS = {
    "network_dropout": "lora_dropout",
    "save_every_n_steps": "save_steps",
    "prior_loss_weight": "prior_loss_weight",
    "noise_offset": "noise_offset",
    "min_snr_gamma": "min_snr_gamma",
    "clip_skip": "clip_skip",
    "caption_dropout_rate": "caption_dropout",
    "validation_split": "validation_split",
}


OFF_AT_0 = {"min_snr_gamma", "save_steps", "clip_skip"}  # kohya_ss writes 0 for what is not asked for
OTHER_MODELS = {
    "v2": "Stable Diffusion 2",
    "flux1_checkbox": "FLUX",
    "sd3_checkbox": "Stable Diffusion 3",
    "lumina_checkbox": "Lumina",
}
KINDS = {"standard": "lora", "locon": "locon", "lokr": "lokr"}  # the last word of kohya_ss' LoRA_type


def convert_sd_scripts(values: ForeignValues) -> Conversion:
    """Translate a file of sd-scripts. Raises: BadInput."""
    told = Conversion()
    values.add_missing(_read_command_line(values.text("additional_parameters", "")))
    for mark, model in OTHER_MODELS.items():
        if values.flag(mark):
            raise BadInput(mark, f"{model} has no equal: Stable Diffusion 1.5 and SDXL are trained here")
    if (base := values.text("pretrained_model_name_or_path")) is not None:
        convert_base(told, "pretrained_model_name_or_path", base)
    for theirs, ours in SAME.items():
        if (text := values.text(theirs)) is not None:
            told.config[ours] = text
    for theirs, ours in NUMBERS.items():
        if (number := values.number(theirs)) is not None and (number != 0 or ours not in OFF_AT_0):
            told.config[ours] = to_number(number)
    _convert_output(told, values)
    _convert_network(told, values)
    _convert_layers(told, values)
    _convert_rates(told, values)
    _convert_length(told, values)
    _convert_pictures(told, values)
    return told


def _convert_output(told: Conversion, values: ForeignValues) -> None:
    folder, name = values.text("output_dir", "./output") or "./output", values.text("output_name")
    told.config["output_dir"] = f"{folder.rstrip('/')}/{name}" if name else folder
    if name:
        told.note("output_name", f"the folder is {told.config['output_dir']}, the file in it adapter_model.safetensors")
    if "seed" in values:
        told.config["seed"] = max(0, values.whole("seed") or 0)
    if "logging_dir" in values or "log_with" in values:
        values.take("logging_dir")
        told.config["log_to"] = "wandb" if values.text("log_with") == "wandb" else "tensorboard"
    if "gradient_checkpointing" in values:
        told.config["gradient_checkpointing"] = values.flag("gradient_checkpointing") or "auto"


def _convert_network(told: Conversion, values: ForeignValues) -> None:
    arguments = _read_arguments(values, "network_args")
    module = values.text("network_module", "networks.lora")
    algorithm = arguments.pop("algo", _read_kind(told, values)).lower()
    if module not in {"networks.lora", "lycoris.kohya"} or algorithm not in {"lora", "locon", "lokr"}:
        raise BadInput(
            "network_module", f"{module} ({algorithm}) has no equal: only LoRA, DoRA and LoKr are trained here"
        )
    dora = arguments.pop("dora_wd", "false").lower() == "true"
    told.config["variant"] = "lokr" if algorithm == "lokr" else "dora" if dora else "lora"
    rank = values.whole("network_dim", RANK) or RANK
    told.config["lora_rank"] = rank
    convert_alpha(told, "network_alpha", values.number("network_alpha", 1.0) or float(rank), rank)
    for key, value in arguments.items():
        told.lose(
            f"network_args {key}", value, "write target_modules to choose layers; they all have one rank and alpha"
        )


def _read_kind(told: Conversion, values: ForeignValues) -> str:
    """Read which kind of network kohya_ss asks for; sd-scripts alone says it by network_module. Raises: BadInput."""
    written = values.text("LoRA_type", "Standard") or "Standard"
    kind = written.lower().replace("/", " ").split()[-1]
    if kind not in KINDS:
        raise BadInput("LoRA_type", f"{written} has no equal: only LoRA, DoRA and LoKr are trained here")
    if KINDS[kind] == "locon":
        told.lose("LoRA_type", written, "its convolutions do not train: target_modules has the layers of LoRA")
    return KINDS[kind]


def _read_arguments(values: ForeignValues, key: str) -> dict[str, str]:
    """Read `name=value` pairs, a list or one text with quotes. Raises: BadInput."""
    written = values.texts(key) or []
    pairs = [pair for text in written for pair in _split_words(key, text)]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _split_words(key: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BadInput(key, f"{show(text)} has a quote that is not closed") from error


def _read_command_line(text: str | None) -> dict[str, Any]:
    """Read the options that kohya_ss hands on as they are: `--network_train_unet_only --max_grad_norm=0`."""
    found: dict[str, Any] = {}
    name = None
    for word in _split_words("additional_parameters", text or ""):
        if word.startswith("--"):
            name, has_value, value = word[2:].partition("=")
            found[name] = value if has_value else True
        elif name is not None:
            found[name] = word if found[name] is True else f"{found[name]} {word}"
    return found


def _convert_layers(told: Conversion, values: ForeignValues) -> None:
    only_unet = any([values.flag("network_train_unet_only"), values.flag("cache_text_encoder_outputs")])
    only_unet = only_unet or values.peek("text_encoder_lr") in {"0", "0.0"}
    if values.flag("network_train_text_encoder_only"):
        raise BadInput("network_train_text_encoder_only", "the UNet always trains here; this training has no equal")
    told.config["train_text_encoder"] = not only_unet
    told.config["target_modules"] = UNET_LAYERS + ([] if only_unet else TEXT_LAYERS)
    told.note(
        "target_modules", "the layers that sd-scripts trains by default; left out, only the attentions train here"
    )


def _convert_rates(told: Conversion, values: ForeignValues) -> None:
    rate = values.number("learning_rate", RATE)
    unet, text = values.number("unet_lr"), _read_text_rate(told, values)
    if unet == 0:
        raise BadInput("unet_lr", "0 trains the text encoders alone, which has no equal: the UNet always trains here")
    told.config["learning_rate"] = unet or rate
    if text and text != told.config["learning_rate"]:
        told.lose("text_encoder_lr", text, f"one rate for all here: {told.config['learning_rate']:g}")
    name = values.text("optimizer_type") or values.text("optimizer") or "AdamW"
    eight_bit, lion = values.flag("use_8bit_adam"), values.flag("use_lion_optimizer")
    name = "AdamW8bit" if eight_bit else "Lion" if lion else name
    convert_optimizer(told, "optimizer_type", name)
    arguments = _read_arguments(values, "optimizer_args")
    if (decay := arguments.pop("weight_decay", "its default")) not in {"0", "0.0"}:
        told.note("optimizer_type", f"{name} decays weights there, by {decay}; here none is decayed")
    for key, value in arguments.items():
        told.lose(f"optimizer_args {key}", value, "optimizers have their usual settings here")
    convert_schedule(told, "lr_scheduler", values.text("lr_scheduler", "constant"))


def _read_text_rate(told: Conversion, values: ForeignValues) -> float | None:
    """Read the rate of the text encoders, of which SDXL has two. Raises: BadInput."""
    rates = values.texts("text_encoder_lr") or []
    parts = ForeignValues({"text_encoder_lr": rates[0] if rates else None})
    if len(set(rates)) > 1:
        told.lose("text_encoder_lr", rates, "one rate for all here")
        return None
    return parts.number("text_encoder_lr")


def _convert_length(told: Conversion, values: ForeignValues) -> None:
    epochs, steps, passes = values.number("max_train_epochs"), values.whole("max_train_steps"), values.number("epoch")
    if not epochs and not steps:  # kohya_ss computes steps of its `epoch` where no steps are written
        epochs = passes
    steps = STEPS if not steps and not epochs else steps
    convert_passes(told, epochs=epochs, max_steps=None if epochs else steps, key="max_train_epochs")
    warmup = values.number("lr_warmup_steps")
    percent = values.number("lr_warmup")
    if warmup is None and percent is not None:
        warmup = percent / 100
    if warmup is not None:
        convert_warmup(told, "lr_warmup_steps", warmup, None if epochs else steps)
    batch = values.whole("train_batch_size") or values.whole("batch_size") or 1
    convert_batch(told, batch, values.whole("gradient_accumulation_steps", 1) or 1, key="train_batch_size")


def _convert_pictures(told: Conversion, values: ForeignValues) -> None:
    for key in ("resolution", "max_resolution"):
        if (sides := values.take(key)) is not None:
            told.config["resolution"] = _read_side(told, key, sides)
            break
    told.config["aspect_buckets"] = values.flag("enable_bucket")
    told.config["flip"] = values.flag("flip_aug")
    if values.flag("v_parameterization"):
        told.config["prediction_type"] = "v_prediction"
    precision = (values.text("mixed_precision", "no") or "no").lower()
    if precision not in PRECISIONS:
        raise BadInput("mixed_precision", f"{show(precision)} is none of {', '.join(PRECISIONS)}")
    told.config["precision"] = PRECISIONS[precision]
    extension = values.text("caption_extension") or values.text("caption_extention")
    if extension not in {None, ".txt"}:
        told.lose("caption_extension", extension, "captions beside pictures are .txt files here; rename them")
    prompts = values.take("sample_prompts")
    if prompts is not None:
        told.lose("sample_prompts", prompts, "a file there; write the prompts themselves as a list")


PRECISIONS = {"no": "fp32", "fp16": "fp16", "bf16": "bf16"}


def _read_side(told: Conversion, key: str, written: Any) -> int:
    """Read `512`, `"512,768"` or `[512, 768]`: the side of a square of that area, in steps of 64. Raises: BadInput."""
    parts = written if isinstance(written, list) else str(written).split(",")
    try:
        sides = [0 if isinstance(part, bool) else int(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        sides = []
    if not 1 <= len(sides) <= 2 or not all(LEAST_SIDE <= side <= MOST_SIDE for side in sides):
        said = f"from {LEAST_SIDE} to {MOST_SIDE} pixels"
        raise BadInput(key, f"{show(written)} is neither a side nor a width and a height {said}")
    if len(set(sides)) == 1:
        return sides[0]
    side = max(SIDE_STEP, round(math.sqrt(sides[0] * sides[1]) / SIDE_STEP) * SIDE_STEP)
    told.note(key, f"{written} becomes {side}: pictures keep their shape at that area (aspect_buckets)")
    return side
