"""Optimizers, schedules, warm-up, passes and precision: what all programs say in words of their own."""

import math
from typing import Any

from trainer.converting.conversion import Conversion
from trainer.errors import BadInput

MOST_EPOCHS = 10_000  # of our configuration: where only steps count, no smaller number of passes cuts them short
OPTIMIZERS = {
    "adamw": "adamw",
    "adamwtorch": "adamw",
    "adamwtorchfused": "adamw",
    "adamwhf": "adamw",
    "adamw8bit": "adamw8bit",
    "adamwbnb8bit": "adamw8bit",
    "pagedadamw8bit": "adamw8bit",
    "lion": "lion",
    "prodigy": "prodigy",
    "adafactor": "adafactor",
    "adamwschedulefree": "schedule-free",
    "schedulefreeadamw": "schedule-free",
}
SCHEDULES = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "linear": "linear",
    "cosine": "cosine",
}


def convert_optimizer(told: Conversion, key: str, value: Any) -> None:
    """Translate the optimizer's name; one that is not here becomes adamw, which is said."""
    plain = "".join(letter for letter in str(value).lower() if letter.isalnum())
    found = OPTIMIZERS.get(plain)
    told.config["optimizer"] = found or "adamw"
    if found is None:
        told.lose(key, value, "this optimizer is not here; adamw is written")
    elif "paged" in plain:
        told.note(key, f"{value} is written as {found}, which keeps its state on the GPU")


def convert_schedule(told: Conversion, key: str, value: Any) -> None:
    found = SCHEDULES.get(str(value).lower())
    told.config["lr_scheduler"] = found or "cosine"
    if found is None:
        told.lose(key, value, "this course of the learning rate is not here; cosine is written")


def convert_warmup(told: Conversion, key: str, value: float, total_steps: int | None) -> None:
    """Translate a warm-up in steps, or as a share of all steps where these are known."""
    if value == 0 or value >= 1:
        told.config["warmup_steps"] = int(value)
    elif total_steps is not None:
        told.config["warmup_steps"] = round(value * total_steps)
        told.note(key, f"{value:g} of {total_steps} steps is warmup_steps: {told.config['warmup_steps']}")
    else:
        told.lose(key, value, "a share of all steps, whose number the data decide; write warmup_steps, in steps")


def convert_passes(told: Conversion, *, epochs: float | None, max_steps: int | None, key: str) -> None:
    """Translate the length of the training. Where steps win over passes there, passes may not cut them short here."""
    if max_steps is not None:
        told.config |= {"max_steps": max_steps, "epochs": MOST_EPOCHS}
        told.note(
            "max_steps", f"{max_steps} optimizer steps decide alone there; here they cut epochs short: epochs is large"
        )
        return
    if epochs is None:
        return
    if epochs <= 0:
        raise BadInput(key, f"{epochs:g} passes train nothing")
    told.config["epochs"] = math.ceil(epochs)
    if epochs != told.config["epochs"]:
        told.note(
            key, f"{epochs:g} passes become {told.config['epochs']}: only whole passes here; max_steps cuts short"
        )


def convert_batch(told: Conversion, batch_size: int, accumulation: int, *, key: str) -> None:
    told.config |= {"batch_size": batch_size, "gradient_accumulation": accumulation}
    told.note(
        key,
        f"a step takes {batch_size} × {accumulation} = {batch_size * accumulation} rows; on several GPUs the other "
        "program takes so many on each, this one on all of them together: multiply batch_size by their number",
    )


def convert_alpha(told: Conversion, key: str, alpha: float, rank: int) -> None:
    """Write alpha, which is a whole number here. The scale is alpha / rank in every program."""
    whole = max(1, round(alpha))
    told.config["lora_alpha"] = whole
    scale = f"scale {alpha:g} / {rank} = {alpha / rank:g}"
    if whole == alpha:
        told.note(key, f"{scale}, as there; left out it would be 16 here")
    else:
        told.note(
            key, f"{scale} there; alpha is a whole number here, so it is {whole / rank:g}: scale the rate instead"
        )


def convert_base(told: Conversion, key: str, value: Any) -> None:
    told.config["base_model"] = str(value)
    if str(value).count("/") == 1 and not str(value).startswith((".", "/", "~")):
        told.note(key, f"{value} may be a name of a hub; nothing is fetched here: give the folder of the model")


def convert_held_out(told: Conversion, key: str, value: float) -> None:
    """Translate the held-out rows: a share here, a share or a number of rows there."""
    if 0 <= value < 1:
        told.config["validation_split"] = min(value, 0.5)
        if value > 0.5:
            told.note(key, f"{value:g} is written as 0.5, the most that is held out here")
    else:
        told.lose(key, value, "a number of rows; write validation_split, their share")
